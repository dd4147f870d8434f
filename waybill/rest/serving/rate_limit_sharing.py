"""What processes tell each other of their callers' requests, through the database, once a second while there are any.

The table is unlogged: a crash of the server empties it, and costs a window of counts. Rows of windows that are over are
removed by whoever reports next.
"""

import asyncio
import time
from collections.abc import Iterable, Sequence
from typing import Any, Final

import structlog
from django.db import Error as DatabaseFailed
from django.db import connection

from waybill.database import sessions
from waybill.database.sqlstate import one_line
from waybill.observability import metrics
from waybill.rest.auth import subject_of
from waybill.rest.serving.rate_limits import Counted, Policy, RateLimits, Standing, caller_key
from waybill.rest.serving.request_threads import in_thread

log: structlog.stdlib.BoundLogger = structlog.get_logger()
REPORT_SECONDS: Final = 1.0
MOST_AT_ONCE: Final = 5_000

# Sorted, so that two processes lock rows in one sequence. The sum is the row's after the change: PostgreSQL reads a
# conflicting row anew under its lock.
REPORT: Final = """
WITH over AS (
    DELETE FROM waybill_rate_limit WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM waybill_rate_limit WHERE window_at < %(oldest)s LIMIT 10000 FOR UPDATE SKIP LOCKED)))
INSERT INTO waybill_rate_limit AS known (caller, window_at, requests)
SELECT * FROM unnest(%(callers)s::text[], %(windows)s::bigint[], %(requests)s::bigint[])
    AS counted (caller, window_at, requests) ORDER BY window_at, caller
ON CONFLICT (window_at, caller) DO UPDATE SET requests = known.requests + excluded.requests
RETURNING caller, window_at, requests
"""


class SharedRateLimits:
    """The limits of this process, told to the others; used by the event loop alone."""

    def __init__(self, policy: Policy) -> None:
        self._policy, self._limits = policy, RateLimits(policy)
        self._sharing: asyncio.Task[None] | None = None

    def admit(self, headers: Iterable[tuple[bytes, bytes]], address: str) -> Standing:
        """Count a request of whoever the headers prove, or else of the address."""
        given = next((value for name, value in headers if name == b"authorization"), b"")
        standing = self._limits.admit(caller_key(subject_of(given.decode("latin1")), address), time.time())
        if standing.admitted and (self._sharing is None or self._sharing.done()):
            self._sharing = asyncio.create_task(self._share())
        return standing

    async def _share(self) -> None:
        while True:
            await asyncio.sleep(REPORT_SECONDS)
            counted = self._limits.unreported()[:MOST_AT_ONCE]
            if not counted:
                return
            try:
                totals = await in_thread(_report, counted, int(time.time()) - 2 * self._policy.seconds)
            except DatabaseFailed as error:  # each process for itself, until the database is back
                metrics.inc("http_rate_limit_report_failures_total")
                log.warning("rate limits not shared", reason=one_line(error))
            else:
                self._limits.learn(counted, totals)


def _report(counted: Sequence[Counted], oldest: int) -> list[Counted]:
    """Add what was counted to what the database knows, and return the sums."""
    values: dict[str, Any] = {
        "callers": [one.caller for one in counted],
        "windows": [one.window_at for one in counted],
        "requests": [one.requests for one in counted],
        "oldest": oldest,
    }
    sessions.renew()
    try:
        with connection.cursor() as cursor:
            cursor.execute(REPORT, values)
            return [Counted(*row) for row in cursor.fetchall()]
    except DatabaseFailed:
        connection.close()  # the thread's next work gets a session of its own
        raise

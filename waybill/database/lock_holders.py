"""Who holds the lock that a session waits for, asked by another session while it waits: afterwards nobody can tell."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from threading import Event, Thread
from typing import Final, LiteralString

import psycopg

from waybill.database import postgres_client
from waybill.database.sqlstate import one_line

LOOK_SECONDS: Final = 0.5  # an ordinary wait is over by then, and costs no session
# It looks at who is stuck, and must not get stuck itself.
LIMITS: Final = {"statement_timeout": "2s", "lock_timeout": "1s"}

# pg_blocking_pids stops the lock manager for a moment, so it is called only while the process waits for a lock. State
# and start are shown only to a superuser, the same role, or a member of pg_read_all_stats.
HOLDERS: LiteralString = """
SELECT holder.pid, holder.application_name, holder.usename, holder.state, holder.xact_start
FROM pg_stat_activity AS waiting, LATERAL unnest(pg_blocking_pids(waiting.pid)) AS blocking (pid)
JOIN pg_stat_activity AS holder ON holder.pid = blocking.pid
WHERE waiting.pid = %s AND waiting.wait_event_type = 'Lock' ORDER BY holder.pid
"""


@contextmanager
def watched(
    url: str, program: str, pid: int, first_seen: Callable[[list[str]], object] = lambda _: None
) -> Generator[list[str]]:
    """Keep in the list who holds, or held last, what the server process `pid` waits for.

    `first_seen` is told them from another thread. A wait shorter than LOOK_SECONDS costs no session.
    """
    holders: list[str] = []
    done = Event()

    def look() -> None:
        while not done.wait(LOOK_SECONDS):
            try:
                with postgres_client.connect(url, f"{program} lock holders", LIMITS, standby=True) as session:
                    while not done.is_set():
                        note([_named(*holder) for holder in session.execute(HOLDERS, [pid])])
                        done.wait(LOOK_SECONDS)
            except psycopg.Error as error:
                if not holders:
                    note([f"somebody unknown, as the database cannot be asked: {one_line(error)}"])

    def note(found: list[str]) -> None:
        if found and found != holders:
            holders[:] = found
            first_seen(found)

    Thread(target=look, name="lock holders", daemon=True).start()
    try:
        yield holders
    finally:
        done.set()


def not_granted(holders: list[str], attempts: str, again: str) -> str:
    """Return the message that a lock was not granted in these `attempts`; `again`: what to do once it is free."""
    held = f"held by {', '.join(holders)}" if holders else "the holder was gone before it could be named"
    remedy = f"let it end, or end it by SELECT pg_terminate_backend(PROCESS), and {again}"
    return f"a lock was not granted within {attempts}: {held}; {remedy}"


def _named(pid: int, application: str, user: str, state: str | None, since: object) -> str:
    doing = f"{state} since {since}" if state else "state and start shown to members of pg_read_all_stats only"
    return f'process {pid} ("{application}", user {user}, {doing})'

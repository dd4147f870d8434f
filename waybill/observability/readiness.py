"""Whether a program can do its work: its database answers, takes writes and has this version's tables.

Kafka away is no reason. However many probes come, at once or one after the other, they cost one session and at most one
question a second: whoever comes meanwhile gets the same answer.
"""

import time
from functools import cache
from threading import Lock
from typing import Final

import psycopg
import structlog
from django.db.migrations.graph import MigrationGraph
from django.db.migrations.loader import MigrationLoader

from waybill.database import sessions
from waybill.database.migrating import CONTRACTING
from waybill.database.side_session import SideSession
from waybill.database.sqlstate import ErrorClass, classify, one_line

log: structlog.stdlib.BoundLogger = structlog.get_logger()
CACHE_SECONDS: Final = 1.0  # however many probes come, the database is asked this often at most
WRITES: Final = "SELECT pg_is_in_recovery(), current_setting('transaction_read_only')::boolean"


class Readiness:
    """The answer to readiness probes, by a session of its own."""

    def __init__(self, session: SideSession) -> None:
        """Take the session, which nothing else uses: a slow scrape must not make a program unready."""
        self._session, self._lock = session, Lock()
        self._reason: str | None = None
        self._fresh_until = 0.0

    def __call__(self) -> str | None:
        """Return None, or the reason why this program is not ready; blocks for some seconds at most."""
        with self._lock:
            if time.monotonic() >= self._fresh_until:
                found = self._ask()
                if found is not None and found != self._reason:
                    log.warning("not ready", reason=found)  # the health port tells no addresses and users
                self._reason = found
                self._fresh_until = time.monotonic() + CACHE_SECONDS
            return self._reason

    def _ask(self) -> str | None:
        expected = _expected()  # read from files at the first probe, which is not the database's delay
        try:
            missing = expected - self._session.ask(_applied)
        except (psycopg.Error, TimeoutError) as error:
            if classify(error) is ErrorClass.WRONG_SERVER:
                sessions.end_all()
            return f"database: {one_line(error)}"
        return f"migrations not applied: {sorted(missing)}; run `migrate`" if missing else None


@cache
def _expected() -> set[tuple[str, str]]:
    return needed(MigrationLoader(None).graph)


def needed(graph: MigrationGraph) -> set[tuple[str, str]]:
    """Return the newest migrations that this version cannot do without: one that contracts comes after its programs."""
    found: set[tuple[str, str]] = set()
    looked_at = list(graph.leaf_nodes())
    while looked_at:
        key = looked_at.pop()
        if CONTRACTING.match(key[1]):
            looked_at += [parent.key for parent in graph.node_map[key].parents]
        else:
            found.add(key)
    return found


def _applied(session: psycopg.Connection) -> set[tuple[str, str]]:
    """Return the migrations that were applied. Raises psycopg.Error, also for a server that takes no writes."""
    in_recovery, read_only = session.execute(WRITES).fetchone() or (False, False)
    if in_recovery or read_only:
        raise psycopg.errors.ReadOnlySqlTransaction("the server is a standby" if in_recovery else "it is read-only")
    return set(session.execute("SELECT app, name FROM django_migrations").fetchall())

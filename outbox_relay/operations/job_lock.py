"""Who works on a job: whoever holds an advisory lock of its name, on a session of its own.

So two processes cannot work on one job at once; PostgreSQL gives the lock back when the session ends, however it ends.
"""

import time
from typing import Final, LiteralString

import psycopg

LOCK_SECONDS: Final = 3.0  # a session whose process was killed is gone within this
LOCK: Final = "SELECT pg_try_advisory_lock(hashtextextended(%s, 0))"


class Taken(Exception):
    """Another process works on this job, or has moved it on."""


def is_held(name: LiteralString) -> LiteralString:
    """Return SQL that tells whether anybody works on a job; `name` is SQL for the text that it is locked by."""
    return f"""EXISTS (
        SELECT FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 1
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND (classid::bigint << 32 | objid::bigint) = hashtextextended({name}, 0))"""  # noqa: S608 - of constants


def take(connection: psycopg.Connection, name: str) -> bool:
    """Hold the job for as long as the session lives; blocks up to 3 s. Raises psycopg.Error."""
    deadline = time.monotonic() + LOCK_SECONDS
    while True:
        (held,) = connection.execute(LOCK, (name,)).fetchone() or (False,)
        if held or time.monotonic() > deadline:
            return bool(held)
        time.sleep(0.1)

"""One leader a database, and how a frozen one is replaced.

Model. Leadership is a session advisory lock: whoever's session holds it reads the outbox, produces and writes the
cursor, all on that one session. PostgreSQL gives the lock back when the session ends, so a leader that dies is
followed at the standby's next look (half a second), with no time-out involved.

A leader that freezes keeps its session, and so the lock. PostgreSQL's own time-outs do not help: they free the lock of
one frozen while idle, but not of one frozen in the middle of a large fetch, nor in a transaction. So the leader writes
a heartbeat every second, on the same session and in autocommit; a standby that sees it stale for longer than
`stale_after_seconds` ends the holder's session with pg_terminate_backend, and takes the lock only once PostgreSQL has
given it back. It wants to see the same holder stale twice: a leader that has just taken over finds its predecessor's
old heartbeat, and has not written its own.

On each failure:
    leader killed           the kernel closes its socket, the session ends, the standby's next try gets the lock
    leader frozen           stale heartbeat; its session is ended; when it wakes, its next statement fails
    its machine is gone     as frozen: the server still believes in the session
    the server restarts     every session ends; whoever comes first leads, and loads the durable cursor
    the leader is told to stop   it closes its session

What this fences, and what not. A leader whose session was ended can no longer write the cursor, nor read. What already
sits in its producer's queue when it wakes can still reach Kafka: copies of records that the next leader has sent again,
behind newer ones of the same key. Services drop them by event id (the inbox); a plain subscriber must compare
`ce_sequence`, which is the aggregate's version. The heartbeat doubles as the leader's own check: `beat` comes before
every batch, and raises in one whose session was ended.

Relied on: both sides connect with the same role (a role may end its own sessions, no further right is needed); the
database's clock alone is compared. A connection pooler in transaction mode breaks session locks: connect past it.

Rejected alternatives: a lease by time alone (a frozen leader wakes and writes), idle_session_timeout (see above),
leadership by Kafka's consumer groups (says nothing about who may write the cursor).
"""

import os
import socket
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final, LiteralString, NamedTuple, Self

import structlog

from outbox_relay.settings import Outbox
from waybill.database import postgres_client
from waybill.observability import metrics
from waybill.runtime import watchdog

log: Any = structlog.get_logger()

# "waybill relay" has no meaning to PostgreSQL; any number will do that no other program of this database uses.
LOCK: Final = 0x7761_7962_696C
PAUSED_LOCK: Final = LOCK + 1
"""Held by a leader while a pause stands and it has no producer: nothing of its own is on the way to the broker."""
LOOK_SECONDS: Final = 0.5  # between a standby's tries: the longest that nobody leads after a leader died
BEAT_SECONDS: Final = 1.0  # also the longest that an operator's pause or redrive waits to be seen
PAUSE_POLL_SECONDS: Final = 0.1  # between looks while paused; `beat` itself writes once a second
# The relay's statements are the same all day, so a generic plan is enough and planning each anew is not.
SESSION: Final = {
    "plan_cache_mode": "force_generic_plan",
    "jit": "off",
    "lock_timeout": "2s",  # a migration that locks the outbox must not silence the heartbeat
    "statement_timeout": "30s",
}

TRY: Final = "SELECT pg_try_advisory_lock(%s)"
GIVE_BACK: Final = "SELECT pg_advisory_unlock(%s)"

# A bigint lock shows in pg_locks as its two halves and objsubid 1.
FROZEN_HOLDER: Final = """
SELECT pid FROM pg_locks, waybill_outbox_cursor
WHERE locktype = 'advisory' AND granted AND objsubid = 1 AND (classid::bigint << 32 | objid::bigint) = %s
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND heartbeat_at < clock_timestamp() - %s * interval '1 second'
"""

END: Final = "SELECT pg_terminate_backend(%s)"

# With the heartbeat comes what operators ask for: three probes of an index a second.
BEAT: Final = """
UPDATE waybill_outbox_cursor SET leader = %s, heartbeat_at = clock_timestamp()
RETURNING (SELECT 'by ' || paused_by || ': ' || reason FROM waybill_relay_pause),
          EXISTS (SELECT FROM published WHERE status = 1),
          (SELECT max(id) FROM waybill_operator_decision)
"""


class Asked(NamedTuple):
    """What operators ask of the leader, as it stood at the last heartbeat."""

    pause: str | None = None  # by whom and why
    release: bool = False  # publications were redriven: status SCHEDULE
    decision: int | None = None  # the last one; it may have discarded publications that others wait behind


class Leadership:
    """One session that stands by, leads, and is closed; used once."""

    def __init__(self, outbox: Outbox, stale_after_seconds: float) -> None:
        """Connect; blocks up to 5 s. Raises psycopg.Error where the database cannot be reached."""
        self.service = outbox.service
        self.name = f"{socket.gethostname()}:{os.getpid()}"
        self.connection = postgres_client.connect(outbox.database_url, f"outbox_relay {self.name}", SESSION)
        self.asked = Asked()
        self._stale_after_seconds = stale_after_seconds
        self.durable_position = 0
        self._written_position = 0
        self._suspect: int | None = None
        self._beaten_at = float("-inf")

    def __enter__(self) -> Self:
        """Return the session."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Close the session, which gives the lock back."""
        metrics.put("outbox_relay_leader", 0, service=self.service)
        self.connection.close()

    def take(
        self, stands_by: Callable[[], object], wait: Callable[[float], object], stopping: Callable[[], bool]
    ) -> bool:
        """Block until this session leads; False when it was told to stop first. Raises psycopg.Error.

        `stands_by` is called once where another leads.
        """
        standing_by = False
        while not stopping():
            if self._one(TRY, LOCK):
                self.beat()
                metrics.put("outbox_relay_leader", 1, service=self.service)
                return True
            if not standing_by:
                stands_by()
                standing_by = True
            self._end_frozen_holder()
            watchdog.alive()
            wait(LOOK_SECONDS)
        return False

    def wrote(self, position: int) -> None:
        """Note a cursor that was written; the next heartbeat makes it durable, as its commit waits for the disk."""
        self._written_position = position

    def beat(self) -> bool:
        """Write the heartbeat if the last is a second old; returns whether. Raises psycopg.Error once it is over."""
        watchdog.alive()
        now = time.monotonic()
        due = now - self._beaten_at >= BEAT_SECONDS
        if due:
            row = self.connection.execute(BEAT, (self.name,)).fetchone()
            self.asked = Asked(*row) if row else Asked()
            self.durable_position = self._written_position
            self._beaten_at = now
        return due

    def wait_while_paused(self, wait: Callable[[float], object], stopping: Callable[[], bool]) -> None:
        """Block until the pause ends, and let others see that nothing is sent meanwhile. Raises psycopg.Error."""
        self._one(TRY, PAUSED_LOCK)
        while self.asked.pause and not stopping():
            wait(PAUSE_POLL_SECONDS)
            self.beat()
        self._one(GIVE_BACK, PAUSED_LOCK)

    def _end_frozen_holder(self) -> None:
        holder = self._one(FROZEN_HOLDER, LOCK, self._stale_after_seconds)
        if holder is not None and holder == self._suspect:
            log.warning("relay_ends_frozen_leader", holder=holder, stale_after_seconds=self._stale_after_seconds)
            self._one(END, holder)
        self._suspect = holder

    def _one(self, query: LiteralString, *values: object) -> Any:
        row = self.connection.execute(query, values).fetchone()
        return None if row is None else row[0]

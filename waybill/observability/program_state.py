"""What a program says of itself, in a row of its service's database: for `outbox status`, which asks no program.

The row is written every BEAT_SECONDS, and soon after the state has changed, on the program's side session. A program
that cannot log in writes none, and one that dies leaves its row behind: in both cases the heartbeat grows old. One that
is told to stop says so.
"""

import os
import socket
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from functools import partial
from threading import Event, Thread
from typing import Any, Final, Literal

import psycopg
import structlog

from waybill.database.side_session import SideSession
from waybill.database.sqlstate import one_line
from waybill.observability.metrics import Program

log: Any = structlog.get_logger()

BEAT_SECONDS: Final = 5.0  # a third of SILENT_SECONDS, so that one lost write alarms nobody
LOOK_SECONDS: Final = 0.5  # a state that changed is told this soon, and no more often
SILENT_SECONDS: Final = 15.0
"""Without a heartbeat for this long a program is taken for silent: three were missed."""

Role = Literal["leading", "standby", "working"]
State = Callable[[], tuple[Role, str | None]]
"""Returns what the program is there for, and why it does not do it."""

# A heartbeat that a crash loses is written again: nobody waits for the disk.
NO_FLUSH: Final = "SET LOCAL synchronous_commit = off"
FORGET: Final = "DELETE FROM waybill_program_state WHERE program = %(program)s AND instance = %(instance)s"
# Rows of programs that are gone for an hour go with anybody's heartbeat: each start has a name of its own.
WRITE: Final = """
WITH forgotten AS (
    DELETE FROM waybill_program_state WHERE heartbeat_at < clock_timestamp() - interval '1 hour'
    AND (program, instance) <> (%(program)s::text, %(instance)s::text)
)
INSERT INTO waybill_program_state AS known (program, instance, state, reason)
VALUES (%(program)s, %(instance)s, %(state)s, %(reason)s)
ON CONFLICT (program, instance) DO UPDATE SET
    state = excluded.state, reason = excluded.reason, heartbeat_at = clock_timestamp(),
    since = CASE WHEN known.state = excluded.state THEN known.since ELSE clock_timestamp() END
"""


@contextmanager
def reported(session: SideSession, program: Program, state: State, instance: str | None = None) -> Generator[None]:
    """Write the program's row while the block runs, and that it stopped where the block ends without an error.

    `instance` names this process among those of its kind; by default its host and process id.
    """
    key = {"program": program, "instance": instance or f"{socket.gethostname()}:{os.getpid()}"}
    over = Event()
    beating = Thread(target=_beat, args=(session, key, state, over), name="program state", daemon=True)
    beating.start()
    stopped = False
    try:
        yield
        stopped = True
    finally:
        over.set()
        beating.join()
        if stopped:
            with suppress(psycopg.Error, TimeoutError):
                session.ask(partial(_write, {**key, "state": "stopped", "reason": None}))


def _beat(session: SideSession, key: dict[str, str], state: State, over: Event) -> None:
    begun = failing = False
    while not over.is_set():
        told = role, reason = state()
        values = {**key, "state": "waiting" if reason else role, "reason": reason}
        try:
            if not begun:
                session.ask(partial(_forget, key))  # an earlier process of the same name
                begun = True
            session.ask(partial(_write, values))
            failing = False
        except (psycopg.Error, TimeoutError) as error:
            if not failing:
                log.warning("state not written", reason=one_line(error))
            failing = True
        beat_at = time.monotonic() + BEAT_SECONDS
        while not over.wait(LOOK_SECONDS) and time.monotonic() < beat_at and state() == told:
            pass


def _forget(key: dict[str, str], connection: psycopg.Connection) -> None:
    connection.execute(FORGET, key)


def _write(values: dict[str, str | None], connection: psycopg.Connection) -> None:
    connection.execute(NO_FLUSH)
    connection.execute(WRITE, values)

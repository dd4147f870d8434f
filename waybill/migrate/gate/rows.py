"""Reading who owns: for each question a row that was read after it came, however many questions there are."""

import asyncio
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from typing import Final, NamedTuple

import psycopg
import structlog

from waybill.database.sqlstate import one_line
from waybill.observability import metrics

log: structlog.stdlib.BoundLogger = structlog.get_logger()

MOST_WAITING: Final = 1_024
HELD_PAUSE_SECONDS: Final = 0.02  # between two readings while only such wait that are held
IDLE_SECONDS: Final = 1.0  # without a question, after which the row is read all the same: for readiness
AWAY_PAUSE_SECONDS: Final = 0.1
ANSWER_SECONDS: Final = 2.0
CONNECT_SECONDS: Final = 2
# Without a row this side owns. Held is what the database's own clock says: that of this machine may be another.
READ: Final = """
SELECT name, coalesce(is_owner, true), coalesce(leaving OR held_until > clock_timestamp(), false), pg_is_in_recovery()
FROM unnest(%s::text[]) AS name LEFT JOIN waybill_ownership ON source = name
"""

Session = psycopg.AsyncConnection[tuple[str, bool, bool, bool]]


class Standing(NamedTuple):
    """Where an aggregate's rows are owned, and whether that changes just now."""

    is_here: bool
    is_held: bool


class TooMany(Exception):
    """So many questions wait already that this one may not."""


class Question(NamedTuple):
    """What waits for a reading."""

    name: str
    is_safe: bool
    answer: asyncio.Future[Standing]


class Rows:
    """The readings of a process; of its event loop."""

    def __init__(self, conninfo: str, names: Collection[str]) -> None:
        """Prepare; connects to nothing yet."""
        self._conninfo, self._names = conninfo, list(names)
        self._session: Session | None = None
        self._asked: list[Question] = []
        self._held: list[Question] = []
        self._waiting: Counter[bool] = Counter()
        self._some_asked = asyncio.Event()
        self.reason: str | None = "the database has not answered yet"
        """Why nothing can be read; None where it can."""

    def ask(self, name: str, *, is_safe: bool) -> asyncio.Future[Standing]:
        """Return what becomes of a question; who no longer waits for it cancels it. Raises TooMany."""
        if self._waiting[is_safe] >= MOST_WAITING:
            raise TooMany
        answer: asyncio.Future[Standing] = asyncio.get_running_loop().create_future()
        self._waiting[is_safe] += 1
        answer.add_done_callback(lambda _: self._waiting.subtract([is_safe]))
        self._asked.append(Question(name, is_safe, answer))
        self._some_asked.set()
        return answer

    async def run(self) -> None:
        """Read for whoever asks, until it is cancelled."""
        try:
            while True:
                with suppress(TimeoutError):
                    async with asyncio.timeout(HELD_PAUSE_SECONDS if self._held else IDLE_SECONDS):
                        await self._some_asked.wait()
                self._some_asked.clear()
                asked, self._asked, self._held = [*self._held, *self._asked], [], []
                self._settle(asked, await self._read())
        finally:
            if self._session is not None:
                await self._session.close()

    def _settle(self, asked: Sequence[Question], found: Mapping[str, Standing]) -> None:
        for one in asked:
            standing = found[one.name]
            if one.answer.done():
                continue
            if standing.is_held and not one.is_safe:
                self._held.append(one)
            else:
                one.answer.set_result(standing)
        metrics.put("gate_waiting", len(self._held))

    async def _read(self) -> Mapping[str, Standing]:
        """Return what a reading finds that begins now, in this session or the next that can be had."""
        while True:
            session, self._session = self._session, None
            reading = asyncio.create_task(self._select(session))
            await asyncio.wait((reading,), timeout=ANSWER_SECONDS)
            if not reading.done():
                # A server that is frozen does not let a question be cancelled either: who asked is left to it.
                reading.cancel()
                reading.add_done_callback(_let_go)
                self._say("the database does not answer")
            elif error := reading.exception():
                self._say(f"database: {one_line(error)}")
            else:
                self._session, found = reading.result()
                self._say(None)
                return found
            await asyncio.sleep(AWAY_PAUSE_SECONDS)

    async def _select(self, session: Session | None) -> tuple[Session, Mapping[str, Standing]]:
        if session is None or session.closed:
            session = await psycopg.AsyncConnection.connect(
                self._conninfo,
                autocommit=True,
                prepare_threshold=None,  # a pooler may stand between
                connect_timeout=CONNECT_SECONDS,
                application_name="waybill gate",
            )
        try:
            found = _standings(await (await session.execute(READ, [self._names])).fetchall())
        except BaseException:
            await session.close()
            raise
        return session, found

    def _say(self, reason: str | None) -> None:
        if reason is not None and reason != self.reason:
            log.warning("not ready", reason=reason)
        elif reason is None and self.reason is not None:
            log.info("ready")
        self.reason = reason


def _standings(rows: Sequence[tuple[str, bool, bool, bool]]) -> Mapping[str, Standing]:
    if rows[0][3]:
        raise psycopg.errors.ReadOnlySqlTransaction("the server is a standby")
    return {name: Standing(is_here, is_held) for name, is_here, is_held, _ in rows}


def _let_go(reading: "asyncio.Task[tuple[Session, Mapping[str, Standing]]]") -> None:
    """Look at the end of a reading that nobody waits for: asyncio complains of an error that nobody has seen."""
    if not reading.cancelled():
        reading.exception()

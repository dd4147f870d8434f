"""One handover: `cutover` and `cutback` are this function, run on the side that owns.

    1  check, verify everything, then what changed since, again and again until a round is short    writes go on
    2  hold: the gateway keeps writes waiting; nothing is in flight any more
    3  lock the tables; drain the queue; verify what changed, until nothing differs                  writes wait
    4  COMMIT: writes are refused here, the epoch rises, this side owns no more
    5  the other side takes it: its triggers let go, its keys go on behind ours, it owns
Before 4 anything that goes wrong or takes too long leaves the old state, and a killed command leaves a hold that lapses
by its own time. After it nobody owns until 5 is done: by the command, by the command again, or by `migrate run`. So
there are never two owners, whatever is killed where.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import psycopg
from psycopg.errors import DeadlockDetected, LockNotAvailable

from waybill.database.lock_holders import not_granted
from waybill.database.sqlstate import one_line
from waybill.migrate import appending, tables, verify
from waybill.migrate.mapping.building import Built
from waybill.migrate.ownership import changed, checks, refusing, rows
from waybill.migrate.ownership.rows import Said
from waybill.migrate.ownership.sides import Side

MARGIN: Final = 0.2
"""Of the hold: what must be left of it at the commit."""
LOCK_MILLISECONDS: Final = 250  # below a server's deadlock_timeout, so that no writer is ended for ours
LOOK_SECONDS: Final = 0.02
ROUND_SECONDS: Final = 0.1
LONGEST_ROUND_SECONDS: Final = 0.75  # before the hold: what changes in so long is compared in it
BATCHES: Final = 20  # of a round; the queue of a busy project is never empty
FEW: Final = 1_000
# Whoever is stopped while it has the locks loses them with its session.
GUARD: Final = (
    "SELECT set_config('lock_timeout', %s, true), set_config('idle_in_transaction_session_timeout', %s, true)"
)
# By the modes that keep out ours, SHARE ROW EXCLUSIVE.
HOLDERS: Final = """
SELECT DISTINCT format('process %%s ("%%s", user %%s)', pid, application_name, usename)
FROM pg_locks JOIN pg_stat_activity USING (pid)
WHERE relation = ANY(%s::regclass[]) AND granted AND pid <> pg_backend_pid()
AND mode NOT IN ('AccessShareLock', 'RowShareLock') ORDER BY 1
"""


class GivenUp(Exception):
    """Nothing has changed: this side owns as before. The message says why."""

    def __init__(self, why: str, differences: Sequence[verify.Difference] = ()) -> None:
        """Keep what differs."""
        super().__init__(why)
        self.differences = list(differences)


@dataclass(frozen=True, kw_only=True)
class Terms:
    """How long a handover may take, and how it is seen that nothing is in flight."""

    hold_seconds: float = 3.0
    settle_seconds: float = 30.0
    """How long a row may differ that does not change, before writes are held."""
    in_flight: Callable[[], int] | None = None
    """Requests under way at the gateway; None where there is none that holds writes. Raises GivenUp."""


@dataclass(kw_only=True)
class Handover:
    """A handover under way."""

    built: Built
    using: str
    here: Side
    lock: Side
    """A second session here, which has the tables' locks."""
    there: Side
    sides: verify.Sides
    terms: Terms
    said: Said
    is_stopping: Callable[[], bool] = lambda: False
    told: Callable[[int, int], object] = lambda _done, _of: None
    verified: int = 0
    rounds: int = 0
    began: float = 0.0
    _unequal: changed.Unequal = field(default_factory=changed.Unequal)

    @property
    def source(self) -> str:
        """Return the aggregate's name."""
        return self.built.aggregate.name

    def catch_up(self, expected: int = 0) -> datetime:
        """Verify everything, then what changed meanwhile until that is little; returns since when it is not verified.

        Raises GivenUp where a row differs that has not changed for the time that it may.
        """
        if self.terms.in_flight is not None:
            self.terms.in_flight()  # a gateway that cannot be asked is told of before anybody waits
        moment = changed.boundary(self.here.session)
        found = verify.verify(self.sides, settle_seconds=0, told=self.told, expected=expected)
        self.verified = found.compared
        late = changed.behind(self.source, self.here.session, self.there.session)
        self._unequal.found([*{one.aggregate_id: one for one in late + found.differences}.values()], ())
        # Looked at for as long as a difference may stand before the hold, or one of a consumer that is away looks new.
        looking_since, portion = time.monotonic(), min(self.terms.hold_seconds / 4, LONGEST_ROUND_SECONDS)
        while True:
            began = time.monotonic()
            moment = self._round(moment)
            if lasting := self._unequal.lasting(self.terms.settle_seconds):
                raise GivenUp(f"{len(lasting)} differ for {self.terms.settle_seconds:.0f} s", lasting)
            now = time.monotonic()
            is_short = now - began < portion < now - looking_since and len(self._unequal.differences) < FEW
            if is_short and not self._unequal.lasting(portion):
                return moment
            self._refuse_to_go_on()
            time.sleep(ROUND_SECONDS)

    def give_up_ownership(self, epoch: int, moment: datetime) -> None:
        """Hold writes, wait until the other side has everything, and commit that this side owns no more.

        Raises:
            GivenUp: It took too long, or something differs; writes are no longer held.

        """
        self.began = time.monotonic()
        try:
            for side in (self.there, self.here):
                side.session.execute(rows.HOLD, {"source": self.source, "seconds": self.terms.hold_seconds})
            self._wait_in_flight()
            self._lock_tables()
            self._arrive(moment)
            self._leave(epoch)
        except BaseException:
            self._release()
            raise

    def _round(self, moment: datetime) -> datetime:
        self.rounds += 1
        new = changed.boundary(self.here.session)
        self._drain()
        fresh = changed.since(self.here.session, self.source, moment)
        self._unequal.found(self._compare({**self._unequal.suspects, **fresh}), fresh)
        return new

    def _compare(self, suspects: changed.Suspects) -> list[verify.Difference]:
        return changed.compare(self.sides, self.here.session, self.there.session, suspects)

    def _drain(self) -> bool:
        """Append what is queued, as far as a round goes; tells whether nothing is queued any more."""
        for _ in range(BATCHES):
            if not appending.drain_once({self.source: self.built}, self.using).taken:
                break
        # What another program has taken and not yet committed is still there to see.
        return not self.here.session.execute(checks.QUEUED, [self.source]).fetchall()[0][0]

    def _wait_in_flight(self) -> None:
        while self.terms.in_flight is not None and (count := self.terms.in_flight()):
            self._in_time(f"{count} requests are still in flight at the gateway")
            time.sleep(LOOK_SECONDS)

    def _lock_tables(self) -> None:
        session = self.lock.session
        names = [tables.identifier(one) for one in refusing.tables_of(self.built.aggregate)]
        while True:
            session.execute("BEGIN")
            try:
                session.execute(GUARD, [f"{LOCK_MILLISECONDS}ms", f"{self.terms.hold_seconds * 1000:.0f}ms"])
                session.execute(f"LOCK TABLE {', '.join(names)} IN SHARE ROW EXCLUSIVE MODE".encode())
            except (LockNotAvailable, DeadlockDetected):
                session.execute("ROLLBACK")
                self._in_time(lambda: self._holders(names))
                time.sleep(LOOK_SECONDS)
            else:
                return

    def _holders(self, names: Sequence[str]) -> str:
        found = self.here.session.execute(HOLDERS, [list(names)]).fetchall()
        return not_granted([name for (name,) in found], f"{self.terms.hold_seconds:.1f} s", "run the verb again")

    def _arrive(self, moment: datetime) -> None:
        """Wait until the other side has everything; nothing changes any more, so what was equal once stays so."""
        suspects: changed.Suspects | None = None
        differences = list[verify.Difference]()
        while True:
            if self._drain():
                if suspects is None:
                    self._refuse_held()
                    suspects = {**self._unequal.suspects, **changed.since(self.here.session, self.source, moment)}
                differences = self._compare(suspects)
                if not differences:
                    return
                suspects = {one.aggregate_id: one.key for one in differences}
            self._in_time(f"{len(differences) or 'keys are queued, none'} differ at {self.there.name}", differences)
            time.sleep(LOOK_SECONDS)

    def _refuse_held(self) -> None:
        count, key = self.here.session.execute(checks.HELD, [self.source]).fetchall()[0]
        if count:
            raise GivenUp(f"{count} keys are held, as {key}: `migrate status` says why")

    def _leave(self, epoch: int) -> None:
        """Commit that this side owns no more."""
        said, hold = self.said, self.terms.hold_seconds
        values = {"source": self.source, "epoch": epoch, "by": said.by, "reason": said.reason}
        try:
            with self.lock.session.cursor() as cursor:
                refusing.turn_on(cursor, self.built.aggregate, self.there.name, epoch + 1)
                cursor.execute(rows.LEAVE, values | {"margin": hold * MARGIN / 2})
                if cursor.rowcount != 1:
                    raise GivenUp(f"the hold of {hold:.1f} s has passed, or the ownership is another one now")
                rows.note(cursor, self.source, epoch + 1, said, rows.LEAVING, time.monotonic() - self.began)
                cursor.execute("COMMIT")
        except psycopg.Error as error:
            with self.here.session.cursor() as cursor:  # where the answer to the commit was lost, it tells
                now = rows.read(cursor, self.source)
            if now.epoch != epoch + 1:
                raise GivenUp(one_line(error)) from error

    def _release(self) -> None:
        """Let writes go on; what cannot be told lapses by itself."""
        with suppress(psycopg.Error):
            self.lock.session.execute("ROLLBACK")
        for side in (self.here, self.there):
            with suppress(psycopg.Error):
                side.session.execute(rows.RELEASE, [self.source])

    def _in_time(self, why: str | Callable[[], str], differences: Sequence[verify.Difference] = ()) -> None:
        self._refuse_to_go_on()
        if time.monotonic() > self.began + self.terms.hold_seconds * (1 - MARGIN):
            said: Any = why if isinstance(why, str) else why()
            raise GivenUp(f"writes were held for {time.monotonic() - self.began:.1f} s: {said}", differences)

    def _refuse_to_go_on(self) -> None:
        if self.is_stopping():
            raise GivenUp("it was told to stop")

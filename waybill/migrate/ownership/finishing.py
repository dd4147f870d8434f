"""The end of a move: the side without the ownership forgets what it knew, and there is no way back."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from waybill.migrate import capture, tables
from waybill.migrate.mapping.document import Aggregate
from waybill.migrate.ownership import refusing, rows, sides
from waybill.migrate.ownership.checks import QUEUED
from waybill.migrate.ownership.rows import Said
from waybill.migrate.ownership.sides import Refused, Side

FORGET: Final = (
    "DELETE FROM waybill_capture_state WHERE source = %s",
    "DELETE FROM waybill_capture_held WHERE source = %s",
    "DELETE FROM waybill_backfill WHERE source = %s",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Finished:
    """What is left on this side."""

    aggregate: str
    epoch: int
    tables: list[str]
    """These may be dropped."""
    referring: list[str]
    """Columns of other tables that refer to them."""


def finish(aggregate: Aggregate, using: str, url: str, said: Said) -> Finished:
    """End the move on both sides; the triggers that refuse writes stay.

    May be done again. Raises Refused, and what either database raises.
    """
    name = aggregate.name
    with sides.here(using) as here, sides.there(url) as there:
        sides.alone(here.session, name)
        epoch = _checked(name, here, there)
        # There first: whoever would take it back asks there, and a killed command leaves what may be done again.
        with there.session.transaction(), there.session.cursor() as cursor:
            cursor.execute(rows.FINISH, [name])
        capture.locking(lambda: _forget(aggregate, here, epoch, said), attempts=10)
        with here.session.cursor() as cursor:
            own = refusing.tables_of(aggregate)
            return Finished(aggregate=name, epoch=epoch, tables=own, referring=list(_referring(cursor, own)))


def _checked(name: str, here: Side, there: Side) -> int:
    with here.session.cursor() as cursor:
        ours = rows.read(cursor, name)
        cursor.execute(QUEUED, [name])
        (queued,) = cursor.fetchall()[0]
    with there.session.cursor() as cursor:
        theirs = rows.read(cursor, name)
    if ours.is_owner:
        raise Refused(f"{name}: this side owns it; `finish` is run where it was given up")
    if ours.is_held or theirs.is_held:
        raise Refused(f"{name}: a handover is under way; `migrate run` completes one that was killed")
    if not ours.epoch:
        raise Refused(f"{name}: it was never handed over; `receive off` ends what `receive on` began")
    if not theirs.is_owner or theirs.epoch != ours.epoch:
        raise Refused(f"{name}: {there.name} does not own it since epoch {ours.epoch}: is that the other side?")
    if queued:
        raise Refused(f"{name}: keys wait in the queue, of writes that nothing refused: who has disabled the triggers?")
    return ours.epoch


def _forget(aggregate: Aggregate, here: Side, epoch: int, said: Said) -> None:
    name = aggregate.name
    with here.session.transaction(), here.session.cursor() as cursor:
        if rows.read(cursor, name).finished_at:
            return
        cursor.execute(rows.FINISH, [name])
        capture.drop(cursor, aggregate, ())
        for statement in FORGET:
            cursor.execute(statement, [name])
        rows.note(cursor, name, epoch, said, rows.DONE)


def _referring(cursor: Any, own: list[str]) -> Iterator[str]:
    for one in own:
        table = tables.read(cursor, one)
        for foreign in table.foreign_keys if table else ():
            if foreign.of not in own:
                yield f"{foreign.of}.{foreign.column}"

"""A side that waits for ownership: its tables take what is applied of the owner's events, and nothing else."""

from typing import Final

from django.db import connections, transaction

from waybill.migrate import capture
from waybill.migrate.mapping.document import Aggregate
from waybill.migrate.ownership import refusing, rows
from waybill.migrate.ownership.rows import Said
from waybill.migrate.ownership.sides import Refused

TOLD: Final = "SELECT EXISTS (SELECT FROM waybill_backfill WHERE source = %s)"
OWNER: Final = "the side that this one has its events from"


def turn_on(aggregate: Aggregate, using: str, said: Said, *, attempts: int = 10) -> None:
    """Refuse writes of this side's own from now on; waits for the writers of the moment, two seconds at a time.

    Raises:
        Refused: This side owns the rows.
        OperationalError: The tables' locks could not be had.

    """
    capture.locking(lambda: _turn_on(aggregate, using, said), attempts)


def turn_off(aggregate: Aggregate, using: str, said: Said, *, attempts: int = 10) -> None:
    """Make the tables ordinary ones again, as before `receive on`: the two sides know nothing of each other then.

    Raises:
        Refused: It was handed over before, or is being.
        OperationalError: The tables' locks could not be had.

    """
    capture.locking(lambda: _turn_off(aggregate, using, said), attempts)


def _turn_on(aggregate: Aggregate, using: str, said: Said) -> None:
    name = aggregate.name
    with transaction.atomic(using), connections[using].cursor() as cursor:
        cursor.execute("SET LOCAL lock_timeout = '2s'")
        cursor.execute(rows.LOCK, [name])
        known = rows.read(cursor, name)
        if known.epoch and known.is_owner:
            raise Refused(f"{name}: this side owns it since epoch {known.epoch}; `cutover` and `cutback` hand it over")
        cursor.execute(TOLD, [name])
        if known.is_owner and cursor.fetchone()[0]:
            raise Refused(
                f"{name}: this side tells of its rows since a backfill, so it owns them: run it on the other side"
                " (`migrate capture off` ends the telling)"
            )
        if known.leaving:
            raise Refused(f"{name}: it is being handed over; `migrate run` completes that")
        refusing.turn_on(cursor, aggregate, OWNER, known.epoch)
        cursor.execute(rows.RECEIVE, {"source": name, "by": said.by, "reason": said.reason})
        rows.note(cursor, name, known.epoch, said, rows.DONE)


def _turn_off(aggregate: Aggregate, using: str, said: Said) -> None:
    name = aggregate.name
    with transaction.atomic(using), connections[using].cursor() as cursor:
        cursor.execute("SET LOCAL lock_timeout = '2s'")
        cursor.execute(rows.LOCK, [name])
        known = rows.read(cursor, name)
        if known.epoch:
            raise Refused(
                f"{name}: it was handed over (epoch {known.epoch}); the side without it ends that by `finish`"
            )
        if known.is_held:
            raise Refused(f"{name}: a handover is under way; try again when it has ended")
        if known.is_known and known.is_owner:
            raise Refused(f"{name}: this side owns it, and does not wait for it")
        refusing.drop(cursor, name)
        cursor.execute("DELETE FROM waybill_ownership WHERE source = %s", [name])
        rows.note(cursor, name, known.epoch, said, rows.DONE)

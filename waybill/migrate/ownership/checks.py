"""What must hold before a handover begins, each with what to do where it does not."""

from typing import Any, Final

from django.db import connections

from waybill.migrate import capture
from waybill.migrate.mapping.document import Aggregate
from waybill.migrate.ownership import refusing, rows
from waybill.migrate.ownership.rows import Ownership
from waybill.migrate.ownership.sides import Refused, Side

HELD: Final = "SELECT count(*), min(key) FROM waybill_capture_held WHERE source = %s"
FILLED: Final = "SELECT finished_at IS NOT NULL FROM waybill_backfill WHERE source = %s"
# By the comment on its function and by its state, since the other side's mapping is not known here.
CAPTURES: Final = """
SELECT coalesce(bool_and(t.tgenabled = 'A'), false)
FROM pg_trigger AS t JOIN pg_description AS d ON d.objoid = t.tgfoid AND d.classoid = 'pg_proc'::regclass
WHERE d.description = %s AND NOT t.tgisinternal
"""
QUEUED: Final = "SELECT EXISTS (SELECT FROM waybill_capture WHERE source = %s)"
VERBS: Final = ("cutover", "cutback")


def may_leave(aggregate: Aggregate, using: str, here: Side, there: Side, verb: str) -> Ownership:
    """Return the ownership that is handed over. Raises Refused."""
    name = aggregate.name
    with here.session.cursor() as cursor:
        ours = rows.read(cursor, name)
    with there.session.cursor() as cursor:
        theirs = rows.read(cursor, name)
    _both(name, ours, theirs, there, verb)
    _here(aggregate, using, ours)
    _there(name, there)
    return ours


def _both(name: str, ours: Ownership, theirs: Ownership, there: Side, verb: str) -> None:
    if ours.finished_at or theirs.finished_at:
        at = ours.finished_at or theirs.finished_at
        raise Refused(f"{name}: its move was finished at {at:%Y-%m-%d %H:%M:%S %Z}: there is no way back")
    if not ours.is_owner:
        raise Refused(f"{name}: this side does not own it (epoch {ours.epoch}); run the verb in the owner's folder")
    if verb != VERBS[ours.epoch % 2]:
        how = "came from there, by a cutover" if ours.epoch % 2 else "did not come from there"
        raise Refused(f"{name}: the ownership {how} (epoch {ours.epoch}): run {VERBS[ours.epoch % 2]} instead")
    if not theirs.is_known or theirs.is_owner:
        raise Refused(f"{name}: {there.name} does not wait for it: run `migrate receive on` there first")
    if theirs.epoch != ours.epoch or theirs.leaving:
        raise Refused(f"{name}: epoch {ours.epoch} here, {theirs.epoch} at {there.name}: is that the other side?")
    # A hold that stands is of a command that was killed: another one would have the lock that this one has.


def _here(aggregate: Aggregate, using: str, ours: Ownership) -> None:
    name = aggregate.name
    with connections[using].cursor() as cursor:
        if not capture.is_on(aggregate, cursor):
            raise Refused(f"{name}: capture is off, or not as the mapping says: run `migrate capture on`")
        filled = _asked(cursor, FILLED, name)
        # What was handed over to this side is known here without a backfill, and `verify` would tell.
        if not filled and (ours.epoch == 0 or filled is False):
            raise Refused(f"{name}: its backfill is not finished: run `migrate backfill`")
        cursor.execute(HELD, [name])
        held, key = cursor.fetchone()
        if held:
            raise Refused(f"{name}: {held} keys are held, as {key}: `migrate status` says why; correct them first")


def _there(name: str, there: Side) -> None:
    with there.session.cursor() as cursor:
        if not refusing.refuses(cursor, name):
            raise Refused(f"{name}: {there.name} does not refuse writes of its own: run `migrate receive on` there")
        if not _asked(cursor, CAPTURES, capture.comment(name)):
            raise Refused(f"{name}: {there.name} does not capture what it would write: run `migrate capture on` there")


def _asked(cursor: Any, statement: str, value: str) -> Any:
    cursor.execute(statement, [value])
    found = cursor.fetchone()
    return found[0] if found else None

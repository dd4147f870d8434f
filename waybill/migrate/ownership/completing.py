"""The second half of a handover: the other side takes what was given up here.

By the verb itself, by the verb again, and by `migrate run`: whoever comes second finds the epoch and does nothing.
"""

from collections.abc import Sequence
from typing import Any, Final

import psycopg
from django.db import connections

from waybill.migrate.ownership import refusing, rows, sequences
from waybill.migrate.ownership.rows import Said
from waybill.migrate.ownership.sides import Side

LEAVING: Final = """
SELECT source, epoch, changed_by, reason FROM waybill_ownership WHERE leaving AND source = ANY(%s) ORDER BY source
"""
VERB: Final = """
SELECT direction FROM waybill_ownership_log WHERE source = %s AND epoch = %s AND result IN (%s, %s)
ORDER BY id DESC LIMIT 1
"""


class NotTaken(Exception):
    """The other side cannot take it; the message says why. Nobody owns it until that is mended."""


def left_behind(using: str, sources: Sequence[str]) -> dict[str, int]:
    """Return which of these were given up here and not yet taken there, with their epochs."""
    with connections[using].cursor() as cursor:
        cursor.execute(LEAVING, [list(sources)])
        return {source: epoch for source, epoch, _, _ in cursor.fetchall()}


def complete(here: Side, there: Side, source: str, pairs: Sequence[tuple[str, str]]) -> float | None:
    """Let the other side take it; returns how long writes were held, or None where somebody else has said so.

    May be done twice, and by two at once. Raises NotTaken, and what either database raises.
    """
    with here.session.cursor() as cursor:
        cursor.execute(LEAVING, [[source]])
        found = cursor.fetchone()
        if found is None:
            return None
        _, epoch, by, reason = found
        cursor.execute(VERB, [source, epoch, rows.LEAVING, rows.GAVE])
        ((verb,),) = cursor.fetchall()
        said = Said(verb=verb, by=by, reason=reason)
    _take(here.session, there, source, epoch, said, pairs)
    with here.session.transaction(), here.session.cursor() as cursor:
        cursor.execute(rows.LEFT, [source, epoch])
        cursor.execute(rows.NOTE_LEFT, {"source": source, "epoch": epoch, "result": rows.GAVE, "leaving": rows.LEAVING})
        held = cursor.fetchone()
        return held[0] if held else None


def _take(
    here: psycopg.Connection[Any], there: Side, source: str, epoch: int, said: Said, pairs: Sequence[tuple[str, str]]
) -> None:
    with there.session.transaction(), there.session.cursor() as cursor:
        # First the row, as whoever applies events does: then the tables' locks meet nobody who waits for the row.
        cursor.execute(rows.LOCK, [source])
        known = cursor.fetchone()
        if known is not None and known[1] >= epoch:
            return
        if known is None or known[0] or known[2]:
            raise NotTaken(f"{source}: {there.name} no longer waits for it: run `migrate receive on` there")
        refusing.turn_off(cursor, source)
        sequences.advance(here, there.session, pairs)
        values = {"source": source, "epoch": epoch, "by": said.by, "reason": said.reason}
        cursor.execute(rows.TAKE, values)
        rows.note(cursor, source, epoch, said, rows.TOOK)

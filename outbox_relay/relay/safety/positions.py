"""Whether the relay may trust the positions that it reads: asked before it leads, and again while it does.

Positions may be trusted as long as one that is not visible is either owned by somebody who holds a lock, or will never
be seen. What could break that, and how it shows:

    a cached, re-set or foreign identity    IDENTITY: somebody owns positions without holding a lock
    `setval` backwards, RESTART IDENTITY,   the identity stands below the log or its cursor: it is going to hand out
    an explicit position above it           positions that count as passed
    TRUNCATE, a table restored alone        the event that was last known is gone: other ones may stand at its position
    a replica                               visibility there need not follow commits
    a restore, a promoted standby           another server identifier or timeline, or a cursor behind what this process
                                            made durable. No danger: the cursor came back with its outbox. Yet events
                                            may be on the topics that no outbox has (ghosts), so it is logged at ERROR

A crash with synchronous_commit=off belongs to the last line. WAL is written in sequence, so what survives is a
beginning of what happened: a cursor never without the rows that it passed, a row never without the identity that
handed out its position. Positions above the cursor may be handed out again, to other events, and nothing is lost.

What nobody sees from here is an explicit position at or below the cursor, written by the table's owner (the service's
role has no right to): `outbox verify` names it as lost.
"""

from typing import Any, Final

import psycopg
import structlog

log: Any = structlog.get_logger()

# On a standby rows can become visible in another sequence than their transactions committed in.
IN_RECOVERY: Final = "SELECT pg_is_in_recovery()"

# The timeline comes from the WAL's own name: the control file still shows the old one just after a promotion.
SERVER: Final = """
SELECT (SELECT system_identifier::text FROM pg_control_system()),
       ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::integer
"""

# Four values that the proof of a gap's death stands on (cursor.py): positions taken one by one, under a lock.
IDENTITY: Final = """
SELECT attidentity = 'a', seqincrement, seqcache, seqcycle
FROM pg_attribute, pg_sequence
WHERE attrelid = 'waybill_outbox'::regclass AND attname = 'position'
  AND seqrelid = pg_get_serial_sequence('waybill_outbox', 'position')::regclass
"""

# What was passed was visible, so the log reaches at least as far as its cursor, unless rows were taken from it. The
# identity is read without a snapshot, later than the rows, and only ever rises.
EXTENT: Final = """
SELECT position, coalesce((SELECT max(position) FROM waybill_outbox), 0), (SELECT last_value
FROM waybill_outbox_position_seq),
       known_event_id, known_event_id IS NULL OR EXISTS (SELECT FROM waybill_outbox WHERE event_id = known_event_id),
       system_identifier, timeline
FROM waybill_outbox_cursor
"""

# By the event at the cursor the next check knows whether the outbox was truncated or replaced.
REMEMBER: Final = """
UPDATE waybill_outbox_cursor
SET system_identifier = %s, timeline = %s, known_event_id = coalesce(
    (SELECT event_id FROM waybill_outbox
    WHERE waybill_outbox.position = waybill_outbox_cursor.position), known_event_id)
"""

REPAIR: Final = "then set waybill_outbox_cursor.position back below what outbox verify --full calls lost"


class PositionsUnsafe(Exception):
    """Positions could be missed or repeated here; the message says why and names the remedy."""


def refuse_standby(connection: psycopg.Connection) -> None:
    """Make sure that this is a primary, before anything is written. Raises PositionsUnsafe or psycopg.Error."""
    (in_recovery,) = _row(connection.execute(IN_RECOVERY))
    if in_recovery:
        raise PositionsUnsafe("this is a standby, where visibility need not follow commits; connect to the primary")


def check_server(connection: psycopg.Connection, recorded: int) -> int:
    """Compare the server with the one last read, and the identity with what the cursor relies on; may be repeated.

    Returns the cursor's position; `recorded` is the highest position that this process made durable.

    Raises:
        PositionsUnsafe: This is a replica, the identity is not GENERATED ALWAYS with increment 1 and cache 1, it or
            the outbox ends below the cursor, or the outbox is not the one that was last known.
        psycopg.Error: The database failed.

    """
    refuse_standby(connection)
    system_identifier, timeline = _row(connection.execute(SERVER))
    _check_identity(connection)
    position, last, handed_out, known_event, known_is_there, *known_server = _row(connection.execute(EXTENT))
    _check_extent(position, last, handed_out)
    if not known_is_there:
        raise PositionsUnsafe(
            f"event {known_event}, published from this outbox, is gone from it: it was truncated or replaced, and new "
            f"rows could be taken for passed; restore it, or set waybill_outbox_cursor.known_event_id to NULL, {REPAIR}"
        )
    if position < recorded:
        log.error(
            "relay_cursor_went_back",
            recorded=recorded,
            found=position,
            remedy="run outbox verify --full, and replay what it lists as lost",
        )
    connection.execute(REMEMBER, (system_identifier, timeline))
    if known_server != [system_identifier, timeline] and known_server[0] is not None:
        log.error(
            "relay_meets_another_server",
            system_identifier=system_identifier,
            timeline=timeline,
            before=dict(zip(("system_identifier", "timeline"), known_server, strict=True)),
            meaning="restored, or a standby was promoted: events that were published and then lost here are ghosts",
            remedy="run outbox verify --full; tell the subscribers of each ghost that it lists",
        )
    return position


def _check_extent(position: int, last: int, handed_out: int) -> None:
    if position > last:
        raise PositionsUnsafe(
            f"the outbox ends at position {last}, below its cursor {position}: it was truncated or its rows were "
            "removed, and new ones would be taken for passed; restore them, or set waybill_outbox_cursor.position by "
            "hand"
        )
    if handed_out < last:
        raise PositionsUnsafe(
            f"the identity of waybill_outbox.position stands at {handed_out}, and the outbox ends at {last}: it was "
            "set back, "
            "or a position was written by hand, and new rows would be taken for passed; "
            f"SELECT setval('waybill_outbox_position_seq', {last}), {REPAIR}"
        )


def _check_identity(connection: psycopg.Connection) -> None:
    found = connection.execute(IDENTITY).fetchone()
    wanted = (True, 1, 1, False)
    if found != wanted:
        has = "is no identity" if found is None else _describe(*found)
        raise PositionsUnsafe(
            f"waybill_outbox.position {has}; the cursor needs GENERATED ALWAYS, INCREMENT 1, CACHE 1, NO CYCLE: "
            "alter it, end "
            "every session that has written, and start the relay again"
        )


def _describe(always: bool, increment: int, cache: int, cycle: bool) -> str:
    kind = "GENERATED ALWAYS" if always else "GENERATED BY DEFAULT"
    return f"is {kind}, INCREMENT {increment}, CACHE {cache}, {'CYCLE' if cycle else 'NO CYCLE'}"


def _row(cursor: psycopg.Cursor) -> tuple[Any, ...]:
    row = cursor.fetchone()
    if row is None:
        raise PositionsUnsafe("outbox_cursor has no row; run: python -m waybill SERVICE migrate")
    return row

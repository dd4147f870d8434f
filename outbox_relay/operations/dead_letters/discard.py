"""Dead letters that nobody will ever handle or send, discarded for ever, with an audit row.

Discarded is less than it sounds, and no event is lost by it:
- A publication leaves `published`; its event stays in the outbox, and is part of the fold. Its topic never has it, so
  subscribers see its key skip that version. A replay leaves it out.
- A message keeps its row in the inbox as received, without its content: a copy that comes again is dropped. The record
  stays on its topic for as long as that keeps it, and `replay --reprocess` hands it over once more.

What waits behind stays a dead letter: it may make no sense without the one before, so an operator redrives or discards
it in turn. One that is being sent by a redrive is left alone. The relay notices with its next heartbeat.
"""

from typing import Final, LiteralString
from uuid import UUID

import psycopg

from outbox_relay.operations import audit, decisions
from outbox_relay.operations.dead_letters import dead_letters
from outbox_relay.operations.dead_letters.dead_letters import Choice, DeadLetter
from outbox_relay.operations.decisions import Kind, Subject

# -1 and 2 are django_outbox_pattern's StatusChoice.FAILED and SUCCEEDED. What was redriven meanwhile is not found.
HOLD_PUBLICATIONS: Final = "SELECT id FROM published WHERE id = ANY(%s) AND status = -1 ORDER BY id FOR UPDATE"
HOLD_MESSAGES: Final = "SELECT id FROM received WHERE id = ANY(%s) AND status = -1 ORDER BY id FOR UPDATE"
FORGET_PUBLICATIONS: Final = "DELETE FROM published WHERE id = ANY(%s)"
# SUCCEEDED, without content: the row goes on dropping copies, and holds its key no more.
KEEP_AS_RECEIVED: Final = "UPDATE received SET status = 2, headers = NULL, body = NULL WHERE id = ANY(%s)"


def matching(service: str, connection: psycopg.Connection, choice: Choice) -> list[DeadLetter]:
    """Return what would be discarded: what matches, but for what a redrive has released. Raises psycopg.Error."""
    return [one for one in dead_letters.read(service, connection, choice) if one.matches and not one.redriven]


def discard(service: str, connection: psycopg.Connection, choice: Choice, by: str, reason: str) -> list[DeadLetter]:
    """Discard what matches, on record; returns what was discarded. Raises psycopg.Error."""
    with connection.transaction():
        found = matching(service, connection, choice)
        publications = _held(connection, HOLD_PUBLICATIONS, dead_letters.ids(found, "publication"))
        messages = _held(connection, HOLD_MESSAGES, dead_letters.ids(found, "message"))
        found = [one for one in found if one.row_id in publications | messages]
        if found:
            what = {"publications": len(publications), "messages": len(messages), **choice.filters}
            action = audit.record(connection, "discard", reason, what, by)
            for kind, rows in ((Kind.DISCARDED_PUBLICATION, publications), (Kind.DISCARDED_MESSAGE, messages)):
                decisions.record(connection, kind, [_subject(one) for one in found if one.row_id in rows], action)
            connection.execute(FORGET_PUBLICATIONS, (list(publications),))
            connection.execute(KEEP_AS_RECEIVED, (list(messages),))
    return found


def _held(connection: psycopg.Connection, query: LiteralString, rows: list[UUID]) -> set[UUID]:
    return {row_id for (row_id,) in connection.execute(query, (rows,))}


def _subject(one: DeadLetter) -> Subject:
    try:
        event_id = UUID(one.event_id or "")
    except ValueError:
        event_id = None
    return Subject(event_id, one.event_type, one.topic, one.partition, one.offset, one.key, one.reason)

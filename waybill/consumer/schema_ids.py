"""From a framed value to an event, by the schema ids that registration left in the database.

The registry itself is never asked: with it away, everything that was registered can still be read. The text of each
schema is kept beside its id, so a program also reads versions that are newer than itself: the programs of a release are
deployed in any sequence.
"""

from functools import cache

from django.db import connection

from waybill.application import schema_files
from waybill.contracts import codec
from waybill.contracts.event import Event
from waybill.deciders.outcomes import SchemaUnknown, Unreadable

# All of them, also ids that are no longer current: records on a topic outlive a move to another registry.
WRITERS = "SELECT schema_id, event_type, schema_version, schema FROM waybill_schema_id"


@cache
def _writers() -> dict[int, tuple[str, int, str | None]]:
    with connection.cursor() as cursor:
        cursor.execute(WRITERS)
        return {
            schema_id: (event_type, version, schema) for schema_id, event_type, version, schema in cursor.fetchall()
        }


def read_event(value: bytes | None) -> Event:
    """Return the event in a framed value.

    Raises Unreadable where it cannot be told or read, and SchemaUnknown where its schema id is not known, which may be
    for a moment only: registration fills one database after another, so ours may be behind the writer's.
    """
    if value is None:
        raise Unreadable("the value is empty: topics of events have no tombstones")
    try:
        schema_id, payload = codec.unframe(value)
        if schema_id not in _writers():
            _writers.cache_clear()  # registered since we last looked
        writer = _writers().get(schema_id)
        if writer is None:
            raise SchemaUnknown(schema_id)
        event_type, version, schema = writer
        return codec.decode(event_type, version, payload, schema)
    except codec.UnreadableEvent as error:
        raise Unreadable(str(error)) from error


def decode(event_type: str, schema_version: int, payload: bytes) -> Event:
    """Return an event of the service's own outbox: written by a release before this one, or by a newer one beside it.

    Raises codec.UnreadableEvent.
    """
    return codec.decode(event_type, schema_version, payload, _text(event_type, schema_version))


def _text(event_type: str, schema_version: int) -> str | None:
    """Return a version's text as it was registered; None where this code has it itself, or nobody registered it."""
    if (event_type, schema_version) in schema_files():
        return None
    if (event_type, schema_version) not in _texts():
        _texts.cache_clear()  # registered since we last looked
        _writers.cache_clear()
    return _texts().get((event_type, schema_version))


@cache
def _texts() -> dict[tuple[str, int], str | None]:
    return {(event_type, version): schema for event_type, version, schema in _writers().values()}

"""From a framed value to an event, by the schema ids that registration left in the database.

The registry itself is never asked: with it away, everything that was registered can still be read.
"""

from functools import cache

from django.db import connection

from chassis.outcomes import Unreadable
from schemas import codec
from schemas.events import Event

WRITERS = "SELECT schema_id, event_type, schema_version FROM schema_id"


@cache
def _writers() -> dict[int, tuple[str, int]]:
    with connection.cursor() as cursor:
        cursor.execute(WRITERS)
        return {schema_id: (event_type, version) for schema_id, event_type, version in cursor.fetchall()}


def read_event(value: bytes | None) -> Event:
    """Return the event in a framed value; raises Unreadable where it cannot be told or read."""
    if value is None:
        raise Unreadable("the value is empty: topics of events have no tombstones")
    try:
        schema_id, payload = codec.unframe(value)
        if schema_id not in _writers():
            _writers.cache_clear()  # registered since we last looked
        writer = _writers().get(schema_id)
        if writer is None:
            raise Unreadable(f"schema id {schema_id} is not among the registered; run `python -m schemas register`")
        return codec.decode(*writer, payload)
    except codec.UnreadableEvent as error:
        raise Unreadable(str(error)) from error

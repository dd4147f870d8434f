"""From a framed value to an event, by the schema ids that registration left in the database.

The registry itself is never asked: with it away, everything that was registered can still be read. The text of each
schema is kept beside its id, so a program also reads versions that are newer than itself: the programs of a release are
deployed in any sequence.
"""

from functools import cache

from django.db import connection

from chassis.outcomes import Unavailable, Unreadable
from schemas import codec
from schemas.events import Event

REGISTRATION_SECONDS = 10.0
WRITERS = "SELECT schema_id, event_type, schema_version, schema FROM schema_id"


@cache
def _writers() -> dict[int, tuple[str, int, str | None]]:
    with connection.cursor() as cursor:
        cursor.execute(WRITERS)
        return {
            schema_id: (event_type, version, schema) for schema_id, event_type, version, schema in cursor.fetchall()
        }


def read_event(value: bytes | None, age_seconds: float) -> Event:
    """Return the event in a framed value, of a record of this age.

    Raises Unreadable where it cannot be told or read, and Unavailable where a young record's schema id is not known:
    registration fills one database after another, so ours may be a moment behind the writer's.
    """
    if value is None:
        raise Unreadable("the value is empty: topics of events have no tombstones")
    try:
        schema_id, payload = codec.unframe(value)
        if schema_id not in _writers():
            _writers.cache_clear()  # registered since we last looked
        writer = _writers().get(schema_id)
        if writer is None and age_seconds < REGISTRATION_SECONDS:
            raise Unavailable(f"schema id {schema_id} is not registered yet")
        if writer is None:
            raise Unreadable(f"schema id {schema_id} is not among the registered; run `python -m schemas register`")
        event_type, version, schema = writer
        return codec.decode(event_type, version, payload, schema)
    except codec.UnreadableEvent as error:
        raise Unreadable(str(error)) from error

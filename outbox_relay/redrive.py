"""What is parked, on both sides: publications that the broker refused, messages that a service could not handle.

Publications are released by their status alone: this program sets SCHEDULE on everything unsent of an aggregate, in one
transaction, and the relay that leads sends it in sequence and notes SUCCEEDED, or FAILED again with the new reason.
Messages are released by the service's own program, which has the reactions.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

import psycopg
from psycopg.rows import class_row

from outbox_relay import audit, pause, status
from outbox_relay.places import Places, ask

POLL_SECONDS: Final = 0.25
SILENT_SECONDS: Final = 6.0  # a leader writes its heartbeat every second

PUBLICATIONS: Final = """
SELECT %(service)s::text AS service, 'publication' AS kind, published.id::text AS event_id,
       body->>'event_type' AS event_type, published.destination AS topic, body->>'aggregate_id' AS key,
       (body->>'aggregate_version')::int AS version, 'position ' || (body->>'position') AS place,
       CASE WHEN status = 1 THEN 'redriven, not sent yet' ELSE headers->>'reason' || ': ' || (headers->>'detail') END
           AS reason,
       added AS parked_at
FROM published WHERE status <> 2
ORDER BY (body->>'position')::bigint
"""
# Parked by the consumer with the record as it came; in the sequence of the topic.
MESSAGES: Final = """
SELECT %(service)s::text AS service, 'message' AS kind, headers->'record'->>'ce_id' AS event_id,
       headers->'record'->>'ce_type' AS event_type, headers->>'topic' AS topic, headers->>'key' AS key,
       CASE WHEN headers->'record'->>'ce_sequence' ~ '^\\d{1,9}$' THEN (headers->'record'->>'ce_sequence')::int END
           AS version,
       headers->>'place' AS place, headers->>'reason' AS reason, added AS parked_at
FROM received WHERE status = -1
ORDER BY headers->>'topic', headers->>'key', split_part(headers->>'place', '/', 3)::bigint
"""

# Whole aggregates: what waits behind a chosen publication goes with it, whatever its topic. 1 and 2 are
# django_outbox_pattern's StatusChoice.SCHEDULE and SUCCEEDED.
CHOSEN: Final = """
FROM published WHERE status <> 2 AND (body->>'aggregate_type', body->>'aggregate_id') IN (
    SELECT body->>'aggregate_type', body->>'aggregate_id' FROM published
    WHERE status <> 2
      AND (%(aggregate_type)s::text IS NULL OR body->>'aggregate_type' = %(aggregate_type)s)
      AND (%(aggregate_id)s::text IS NULL OR body->>'aggregate_id' = %(aggregate_id)s)
      AND (%(topic)s::text IS NULL OR destination = %(topic)s))
"""
SCHEDULE: Final = f"""
WITH chosen AS (SELECT id {CHOSEN} ORDER BY id FOR UPDATE)
UPDATE published SET status = 1 FROM chosen WHERE published.id = chosen.id RETURNING published.id
"""  # noqa: S608 - put together from constants
COUNT_MESSAGES: Final = "SELECT count(*) FROM received WHERE status = -1"
OUTCOME: Final = """
SELECT destination, body->>'aggregate_id', 'position ' || (body->>'position'), body->>'event_type', status,
       headers->>'reason' || ': ' || (headers->>'detail')
FROM published WHERE id = ANY(%s) ORDER BY (body->>'position')::bigint
"""
SCHEDULED, SENT = 1, 2
WAITS: Final = "not sent yet"


@dataclass(frozen=True, slots=True)
class Parked:
    """A publication or a message that waits for an operator."""

    service: str
    kind: str
    event_id: str | None
    event_type: str | None
    topic: str
    key: str
    version: int | None
    place: str
    reason: str
    parked_at: datetime


class Choice(NamedTuple):
    """What is to be redriven. Filters choose among publications; messages are redriven all or not at all."""

    publications: bool
    messages: bool
    aggregate_type: str | None = None
    aggregate_id: str | None = None
    topic: str | None = None


class Begun(NamedTuple):
    """Publications that were released, and messages that are parked."""

    publications: list[UUID]
    messages: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one publication or message; `trouble` is None where it was sent, or handled."""

    service: str
    kind: str
    topic: str
    key: str
    place: str
    event_type: str | None
    trouble: str | None

    @property
    def waits(self) -> bool:
        """Say whether the relay has not come to it yet."""
        return self.trouble == WAITS


def read_parked(service: str, connection: psycopg.Connection) -> list[Parked]:
    """Return everything parked in the service's database. Raises psycopg.Error."""
    with connection.cursor(row_factory=class_row(Parked)) as cursor:
        publications = cursor.execute(PUBLICATIONS, {"service": service}).fetchall()
        return publications + cursor.execute(MESSAGES, {"service": service}).fetchall()


def begin(connection: psycopg.Connection, choice: Choice, by: str, reason: str) -> Begun:
    """Release the publications and count the messages; what is done is on record. Raises psycopg.Error."""
    with connection.transaction():
        publications = (
            [event_id for (event_id,) in connection.execute(SCHEDULE, choice._asdict())] if choice.publications else []
        )
        (messages,) = (connection.execute(COUNT_MESSAGES).fetchone() if choice.messages else None) or (0,)
        if publications or messages:
            filters = {name: value for name, value in choice._asdict().items() if isinstance(value, str)}
            what = {"publications": len(publications), "messages": messages, **filters}
            audit.record(connection, "redrive", reason, what, by)
    return Begun(publications, messages)


def outcomes(service: str, connection: psycopg.Connection, publications: Sequence[UUID]) -> list[Outcome]:
    """Return what has come of the publications until now, in the sequence of the outbox. Raises psycopg.Error."""
    return [
        Outcome(service, "publication", topic, key, place, event_type, _trouble(state, said))
        for topic, key, place, event_type, state, said in connection.execute(OUTCOME, (list(publications),))
    ]


def _trouble(state: int, said: str) -> str | None:
    if state == SENT:
        return None
    return WAITS if state == SCHEDULED else said


def wait(
    places: Places, released: Mapping[str, Sequence[UUID]], seconds: float, progress: Callable[[int, int], object]
) -> tuple[dict[str, list[Outcome]], dict[str, str]]:
    """Return what the relays made of the publications, by service, and which databases did not answer.

    Blocks until none waits any more, `seconds` are over, or all that wait belong to a paused relay.
    """
    deadline = time.monotonic() + seconds
    while True:
        found, failures = ask(places, list(released), lambda name, open_: outcomes(name, open_, released[name]))
        waiting = [service for service, ones in found.items() if any(one.waits for one in ones)]
        everything = [one for ones in found.values() for one in ones]
        progress(sum(not one.waits for one in everything), sum(map(len, released.values())))
        left = deadline - time.monotonic()
        if not (waiting or failures) or left <= 0:
            return found, failures
        pauses = ask(places, waiting, pause.read)[0]
        if not failures and len(pauses) == len(waiting) and all(pauses.values()):
            return found, failures
        time.sleep(min(POLL_SECONDS, left))


def why_waiting(state: status.Status) -> str:
    """Return why the relay has not sent yet what it was asked to."""
    if state.paused:
        return f"the relay is paused {state.paused}"
    if state.leader is None or state.heartbeat_seconds is None or state.heartbeat_seconds > SILENT_SECONDS:
        return "no relay leads this database; start one, and it sends them"
    return f"{state.leader} leads, and /readyz of that relay says what it waits for"

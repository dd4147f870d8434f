"""Which dead letters a redrive takes, found some keys at a time: no statement is longer than a page may wait for one.

Whether a dead letter may be redriven depends on those before it in its key and on no other, so keys are judged apart.
They are walked by the index of the narrow table; a walk that was cut short goes on behind the last key.
"""

import time
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple
from uuid import UUID

import psycopg

from outbox_relay.operations.dead_letters.dead_letters import Choice

KEYS: Final = 500  # that are judged at once: some thousand dead letters
KINDS: Final = ("message", "publication")
NEXT: Final = """
SELECT DISTINCT ordering_key FROM waybill_dead_letter
WHERE kind = %(walked)s AND ordering_key > %(after)s
AND (%(topic)s::text IS NULL OR topic = %(topic)s)
AND (%(keys)s::text[] IS NULL OR key = ANY(%(keys)s))
AND (%(classes)s::text[] IS NULL OR reason_class = ANY(%(classes)s))
AND (%(types)s::text[] IS NULL OR event_type = ANY(%(types)s)
     OR substring(event_type FROM '[^.]*$') = ANY(%(types)s))
ORDER BY ordering_key LIMIT %(limit)s
"""
PLAN: Final = """
SELECT count(*) FILTER (WHERE released AND NOT redriven AND kind = 'publication') AS publications,
       count(*) FILTER (WHERE released AND NOT redriven AND kind = 'message') AS messages,
       count(*) FILTER (WHERE NOT released) AS stays
FROM ({chosen}) AS chosen
"""
ITEMS: Final = """
WITH items AS (
    INSERT INTO waybill_redrive_item (job_id, row_id, kind, topic, key, place, event_type)
    SELECT %(id)s, row_id, kind, topic, key,
           coalesce('position ' || position, concat_ws('/', topic, "partition", "offset")), event_type
    FROM ({chosen}) AS chosen WHERE released AND NOT redriven ON CONFLICT DO NOTHING RETURNING kind
), counted AS (
    SELECT count(*) FILTER (WHERE kind = 'publication') AS publications,
           count(*) FILTER (WHERE kind = 'message') AS messages FROM items
)
UPDATE waybill_redrive_job
SET total = total + publications + messages, chosen = chosen || jsonb_build_object('collected_to', %(place)s::text[])
FROM counted WHERE id = %(id)s RETURNING publications, messages
"""
ALL: Final = "UPDATE waybill_redrive_job SET chosen = chosen - 'collected_to' WHERE id = %s"


class Place(NamedTuple):
    """Up to which key, of which kind, dead letters have been judged."""

    kind: str
    key: str


class Batch(NamedTuple):
    """Some keys of one kind; `place`: where the next ones begin."""

    kind: str
    keys: Sequence[str]

    @property
    def place(self) -> Place:
        """Return the place behind them."""
        return Place(self.kind, self.keys[-1])


class Plan(NamedTuple):
    """What a redrive would release; `stays` match, and would overtake an earlier dead letter of their key.

    `whole`: all of them were counted in the time there was.
    """

    publications: int
    messages: int
    stays: int
    whole: bool

    @property
    def total(self) -> int:
        """Return how many dead letters it would release."""
        return self.publications + self.messages


class Collected(NamedTuple):
    """What a job has got; `whole`: nothing is left to collect."""

    publications: int
    messages: int
    whole: bool


def plan(connection: psycopg.Connection, choice: Choice, seconds: float | None = None) -> Plan:
    """Return what a redrive would release now, counted for so long at most. Raises psycopg.Error."""
    counts, until = [0, 0, 0], _deadline(seconds)
    for batch in batches(connection, choice):
        found = connection.execute(_of(PLAN, choice), _values(choice, batch), prepare=False).fetchone()
        counts = [a + b for a, b in zip(counts, found or (0, 0, 0), strict=True)]
        if time.monotonic() > until:
            return Plan(*counts, whole=False)
    return Plan(*counts, whole=True)


def collect(
    connection: psycopg.Connection,
    job_id: UUID,
    choice: Choice,
    after: Place | None = None,
    seconds: float | None = None,
) -> Collected:
    """Give a job its dead letters, from a place on, for so long at most. Raises psycopg.Error."""
    publications, messages, until = 0, 0, _deadline(seconds)
    for batch in batches(connection, choice, after):
        values = _values(choice, batch) | {"id": job_id, "place": list(batch.place)}
        row = connection.execute(_of(ITEMS, choice), values, prepare=False).fetchone()
        sent, handled = row or (0, 0)
        publications, messages = publications + sent, messages + handled
        if time.monotonic() > until:
            return Collected(publications, messages, whole=False)
    connection.execute(ALL, (job_id,))
    return Collected(publications, messages, whole=True)


def batches(connection: psycopg.Connection, choice: Choice, after: Place | None = None) -> Iterator[Batch]:
    """Yield the keys that may have a dead letter which is meant. Raises psycopg.Error."""
    values = choice.values() if choice.narrow else Choice().values()
    for kind in KINDS:
        if kind not in choice.kinds or (after and kind < after.kind):
            continue
        behind = after.key if after and kind == after.kind else ""
        while True:
            walked = values | {"walked": kind, "after": behind, "limit": KEYS}
            keys = [key for (key,) in connection.execute(NEXT, walked, prepare=False)]
            if not keys:
                break
            yield Batch(kind, keys)
            behind = keys[-1]


def _of(statement: str, choice: Choice) -> Any:
    return statement.replace("{chosen}", choice.of_keys)


def _values(choice: Choice, batch: Batch) -> dict[str, Any]:
    return choice.values() | {"service": "", "walked": batch.kind, "ordering_keys": list(batch.keys)}


def _deadline(seconds: float | None) -> float:
    return float("inf") if seconds is None else time.monotonic() + seconds

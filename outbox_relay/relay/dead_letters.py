"""Which records the broker would refuse for their own sake, and how they are kept as dead letters.

Errors are of two kinds, never mixed up. On a transient error of the environment (broker away, not enough replicas,
throttled, registry or database down) nothing is published and nothing becomes a dead letter, however long it lasts. On
a permanent error of one record (larger than its topic takes, no such topic, no right to write there) that record is
kept in `published` (django-outbox-pattern's table, status FAILED) with the reason, and so is every later one of the
same aggregate, behind it: record n+1 never reaches the log while record n was refused. All other aggregates flow.

A refusal must be known *before* producing. A producer that meets one has later records of the key in its queue, and
where they are in one batch the broker refuses the others of that batch with it. So the broker is asked what a topic
takes when the topic is first seen, when a producer is built, and again before a record is refused on older knowledge.
Where it refuses all the same (a limit lowered meanwhile), the producer ends without letting anything past, and the rows
in flight are sent again one by one, each awaited: what is refused then is kept as `refused`.

A topic that does not exist is given a grace, in which the relay waits: topics are made by a deployment step, and one
that is deleted and made again should not cost anybody a redrive.

A dead letter has its position; the event itself stays in the outbox. Dead letters and cursor are written in one
transaction, so a position is passed only when its record was acknowledged or is kept here.

Release. An operator's redrive sets an aggregate's rows to SCHEDULE. With nothing else in flight, so that no follower
becomes a dead letter meanwhile, the relay sends all dead letters of such aggregates, in sequence, and notes SUCCEEDED
once they are acknowledged; what is refused again is FAILED again, with those behind it.
"""

import json
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, NamedTuple

import psycopg
import structlog
from confluent_kafka import KafkaError

from outbox_relay.relay.kafka.broker import LEGAL_NAME, Topic, describe
from outbox_relay.relay.kafka.records import Fetched, Records, Row
from outbox_relay.relay.reading import Page

log: Any = structlog.get_logger()

BATCH_BYTES: Final = 1_000_000  # of a producer's batch, where no topic takes less: larger ones gain nothing
# What the broker said of a topic is asked for again before a record is refused on older words.
FRESH_SECONDS: Final = 1.0
ROOM_BYTES: Final = 4_096  # beyond any key and headers met; who comes closer to the limit is measured exactly

# -1, 1 and 2 are django_outbox_pattern's StatusChoice.FAILED, SCHEDULE and SUCCEEDED: what has not succeeded holds its
# aggregate. A far `expires_at`, because that library forgets what has expired. What was released may be refused again.
STORE: Final = """
INSERT INTO published (id, version, destination, body, added, expires_at, retry, status, headers)
VALUES (%s, NULL, left(%s, 255), %s, clock_timestamp(), clock_timestamp() + interval '100 years', 0, -1, %s)
ON CONFLICT (id) DO UPDATE SET status = EXCLUDED.status, headers = EXCLUDED.headers, retry = published.retry + 1
"""
# SUCCEEDED: the row stays, for the record that it was once refused, and no longer holds its aggregate.
SENT: Final = "UPDATE published SET status = 2 WHERE id = ANY(%s::uuid[])"
# A redrive marks an aggregate's dead letters; those that came behind them since then are released with them.
RELEASE_FOLLOWERS: Final = """
UPDATE published SET status = 1
WHERE status = -1 AND (body->>'aggregate_type', body->>'aggregate_id') IN (
    SELECT body->>'aggregate_type', body->>'aggregate_id' FROM published WHERE status = 1)
"""
# Read at a session's start, after a release and after a decision; else the session alone adds dead letters, and knows.
BLOCKED: Final = """
SELECT DISTINCT body->>'aggregate_type', body->>'aggregate_id' FROM published WHERE status <> 2
"""

# What the broker answers where it is the record's fault, and not the environment's.
# A wrong timestamp is none: the client stamps a record as it sends it, so what is wrong is the clock of this machine.
REFUSALS: Final = frozenset(
    {
        KafkaError.INVALID_RECORD,
        KafkaError.MSG_SIZE_TOO_LARGE,
        KafkaError.POLICY_VIOLATION,
        KafkaError.RECORD_LIST_TOO_LARGE,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.TOPIC_EXCEPTION,
    }
)


class Reason(StrEnum):
    """Why a record is a dead letter. All wait for an `outbox redrive`, which sends those of an aggregate in order."""

    TOO_LARGE = "too_large"  # raise the topic's max.message.bytes, or accept that this event is not published
    UNKNOWN_TOPIC = "unknown_topic"  # create the topic (`python -m waybill contracts topics`)
    NOT_AUTHORISED = "not_authorised"  # grant the relay's principal Write on the topic
    REFUSED = "refused"  # read `detail`: the broker's own words
    BEHIND = "behind"  # nothing: moves on with the record it waits for


class Refusal(NamedTuple):
    """Why the broker would not take a record, and in which words an operator is told."""

    reason: Reason
    detail: str


class RefusedRow(NamedTuple):
    """A row that is not sent, and why."""

    row: Row
    refusal: Refusal


@dataclass(slots=True)
class Division:
    """What becomes of rows, in order: sent, refused, or, from `held_from` on, left until a transient error ends."""

    send: Sequence[Fetched] = ()
    refused: list[RefusedRow] = field(default_factory=list[RefusedRow])
    held_from: int | None = None
    held_for: str = ""


class DeadLetters:
    """Know the topics' limits and the aggregates that have a dead letter."""

    def __init__(self, kafka: Mapping[str, str], grace_seconds: float) -> None:
        """Know nothing yet."""
        self._kafka = kafka
        self._grace_seconds = grace_seconds
        self._topics: dict[str, Topic] = {}
        self._unknown_since: dict[str, float] = {}
        self._aggregates: set[tuple[str, str]] = set()
        self._refused: dict[int, Refusal] = {}  # by position: learnt from the broker's answer
        self.one_by_one_rows = 0  # rows still to be sent one by one, because one among them was refused

    @property
    def smallest_limit(self) -> int:
        """Return the smallest `max.message.bytes` among the topics seen, and no more than a batch should have."""
        return min([BATCH_BYTES, *(topic.max_bytes for topic in self._topics.values() if topic.exists)])

    def partitions(self, topic: str) -> int:
        """Return how many partitions a topic has that was learnt."""
        return self._topics[topic].partitions

    def load(self, connection: psycopg.Connection) -> None:
        """Drop what is remembered of aggregates and read which have dead letters. Raises psycopg.Error."""
        rows = connection.execute(BLOCKED).fetchall()
        self._aggregates = set(rows)

    def ask_again(self) -> None:
        """Read the limits of all topics seen so far anew; blocks up to 4 s. Raises BrokerUnavailable."""
        self._ask(self._topics)

    def refuse(self, position: int, detail: str) -> None:
        """Remember that the broker refused the record at this position when it was sent alone."""
        self._refused[position] = Refusal(Reason.REFUSED, detail)

    def learn(self, names: Collection[str]) -> None:
        """Ask for topics not seen before; blocks up to 4 s where there are any. Raises BrokerUnavailable."""
        self._ask([name for name in names if name not in self._topics])

    def divide(self, page: Page, records: Records) -> Division:
        """Sort rows of known topics into sent, refused and held; may block for 4 s. Raises BrokerUnavailable."""
        if self._all_acceptable(page):
            return Division(page.public)
        return self._divide(page.rows, records, self._aggregates)

    def divide_released(self, page: Page, records: Records) -> Division:
        """Say what becomes of dead letters, as `divide` does; what held them until now holds them no more."""
        return self._divide(page.rows, records, set())

    def _divide(self, rows: Sequence[Fetched], records: Records, blocked: set[tuple[str, str]]) -> Division:
        send: list[Fetched] = []
        division = Division(send)
        for index, row in enumerate(map(Row._make, rows)):
            if row.topic is None:
                continue
            aggregate = (row.aggregate_type, row.aggregate_id)
            if aggregate in blocked:
                refusal = Refusal(Reason.BEHIND, "waits for an earlier record of its aggregate")
            else:
                refusal = self._refusal(row, records, row.topic)
            if refusal is None:
                send.append(row)
            elif self._in_grace(row.topic, refusal):
                division.held_from, division.held_for = index, refusal.detail
                break
            else:
                blocked.add(aggregate)
                division.refused.append(RefusedRow(row, refusal))
        return division

    def store(self, connection: psycopg.Connection, refused: Sequence[RefusedRow], released: Sequence[str]) -> None:
        """Keep what was refused, note what was released; in the cursor's transaction. Raises psycopg.Error."""
        if released:
            connection.execute(SENT, (list(released),))
        with connection.cursor() as cursor:
            cursor.executemany(STORE, [_columns(row, refusal) for row, refusal in refused])
        for row, refusal in refused:
            self._refused.pop(row.position, None)
            log.error(
                "dead_lettered",
                position=row.position,
                event_id=row.event_id,
                type=row.event_type,
                key=row.aggregate_id,
                topic=row.topic,
                reason=refusal.reason,
                detail=refusal.detail,
            )

    def _all_acceptable(self, page: Page) -> bool:
        if self._aggregates or self._refused:
            return not page.topics
        topics = [self._topics[name] for name in page.topics]
        return all(
            topic.exists and topic.writable and page.largest_bytes <= topic.max_bytes - ROOM_BYTES for topic in topics
        )

    def _refusal(self, row: Row, records: Records, name: str) -> Refusal | None:
        if row.position in self._refused:
            return self._refused[row.position]
        refusal = _against(self._topics[name], row, records, name)
        if refusal is not None and time.monotonic() - self._topics[name].asked_at > FRESH_SECONDS:
            self._ask([name])
            refusal = _against(self._topics[name], row, records, name)
        return refusal

    def _ask(self, names: Collection[str]) -> None:
        described = describe(self._kafka, names)
        self._topics |= described
        for name, topic in described.items():
            if topic.exists:
                self._unknown_since.pop(name, None)

    def _in_grace(self, name: str, refusal: Refusal) -> bool:
        if refusal.reason is not Reason.UNKNOWN_TOPIC or not LEGAL_NAME.fullmatch(name):
            return False  # a name that Kafka does not take will not be created either
        now = time.monotonic()
        return now - self._unknown_since.setdefault(name, now) < self._grace_seconds


def _against(topic: Topic, row: Row, records: Records, name: str) -> Refusal | None:
    if not topic.exists:
        create = "create it with: python -m waybill contracts topics"
        return Refusal(Reason.UNKNOWN_TOPIC, f"topic {name!r} does not exist; {create}")
    if not topic.writable:
        return Refusal(Reason.NOT_AUTHORISED, f"not allowed to write to topic {name!r}; grant Write to the relay")
    if row.size + ROOM_BYTES > topic.max_bytes and (size := records.size(row)) > topic.max_bytes:
        return Refusal(
            Reason.TOO_LARGE, f"{size} bytes, and topic {name!r} takes {topic.max_bytes} (max.message.bytes)"
        )
    return None


def _columns(row: Row, refusal: Refusal) -> tuple[str | None, ...]:
    body = {
        "position": row.position,
        "aggregate_type": row.aggregate_type,
        "aggregate_id": row.aggregate_id,
        "aggregate_version": row.aggregate_version,
        "event_type": row.event_type,
    }
    headers = {"reason": refusal.reason, "detail": refusal.detail}
    return row.event_id, row.topic, json.dumps(body), json.dumps(headers)

"""Sending a replay: one job, in the sequence of positions, through a producer of its own.

The records are the relay's, with the headers of a replay. One batch at a time: its end is made durable when all of it
is acknowledged, so whatever ends the process, the next one repeats that batch at most. Nothing is repaired in place: on
any failure the job stops where it is, and is resumed.

What it does to the order. Old versions of an aggregate come to stand behind newer ones. Services drop them by the
event's id; a plain subscriber tells them by `ce_replayid`.
"""

import dataclasses
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

import psycopg

from outbox_relay.operations import names
from outbox_relay.operations.inbox_retention import InboxRetention, forgotten
from outbox_relay.operations.replay import jobs
from outbox_relay.operations.replay.options import CHOSEN
from outbox_relay.operations.topology import DependencyDown, UsageError
from outbox_relay.relay.cursor import Cursor
from outbox_relay.relay.dead_letters import ROOM_BYTES
from outbox_relay.relay.kafka import broker
from outbox_relay.relay.kafka.broker import BrokerUnavailable, Topic
from outbox_relay.relay.kafka.linger import Linger
from outbox_relay.relay.kafka.producer import Batch, Sender
from outbox_relay.relay.kafka.records import COLUMNS, Fetched, Headers, Records, Row

BATCH_ROWS: Final = 500  # what a crash repeats at most
BATCH_BYTES: Final = 8_000_000  # of payloads, held in memory
RECORDS_BYTES: Final = 1_000_000  # of what the broker is sent at once
STALL_SECONDS: Final = 30.0  # without an acknowledgement: the job stops, and an operator resumes it
STOP_SECONDS: Final = 5.0  # for the batch in flight, once told to stop

FETCH: Final = f"""
SELECT {COLUMNS} FROM waybill_outbox
WHERE {CHOSEN} AND topic IS NOT NULL AND NOT position <@ %(without)s::int8multirange
ORDER BY position LIMIT %(rows)s
"""  # noqa: S608
# Large payloads are read apart, as the relay does: a batch's memory has a bound.
PAYLOADS: Final = "SELECT position, payload FROM waybill_outbox WHERE position = ANY(%s)"


class ReplayRecords(Records):
    """The relay's records, with the headers that say which replay they belong to and who is meant."""

    def __init__(self, job: jobs.Job, writer: str) -> None:
        """Build the headers that all records of this job share; `writer` is the name that the service publishes by."""
        super().__init__(writer)
        self._replay: Headers = {"ce_replayid": str(job.id).encode()}
        if job.options.to_consumer:
            self._replay["ce_replaytarget"] = job.options.to_consumer.encode()
        if job.options.reprocess:
            self._replay["ce_replayreprocess"] = b"true"
        if job.options.effects:
            self._replay["ce_replayeffects"] = b"true"

    def headers(self, row: Fetched) -> Headers:
        """Return the record's headers."""
        return super().headers(row) | self._replay


class Throttle:
    """Spread batches over time so that no second has more events than `rate`, nor makes up for a slow one before."""

    def __init__(self, rate: int | None) -> None:
        """Start with the first batch due at once."""
        self.rows = BATCH_ROWS if rate is None else min(BATCH_ROWS, max(1, rate // 10))
        self._seconds = 0.0 if rate is None else 1 / (rate // self.rows)
        self._due_at = 0.0

    def wait_seconds(self, now: float) -> float:
        """Return how long the next batch must wait."""
        return max(0.0, self._due_at - now)

    def sent(self, now: float) -> None:
        """Note that a batch leaves now."""
        self._due_at = now + self._seconds


class Sending:
    """One job in the hands of this process, from its durable position until all is sent or it is told to stop."""

    def __init__(
        self,
        connection: psycopg.Connection,
        job: jobs.Job,
        kafka: Mapping[str, str],
        retentions: Collection[InboxRetention],
        stop_requested: Callable[[], bool],
    ) -> None:
        """Read how far the job is, which the connection holds. Raises jobs.Taken, BrokerUnavailable, psycopg.Error."""
        found = jobs.read(job.service, connection, job.id)
        if found is None:
            raise jobs.Taken(f"job {job.id} was removed by somebody else")
        self._job = found
        self._connection, self._kafka, self._retentions, self._stop_requested = (
            connection,
            kafka,
            retentions,
            stop_requested,
        )
        self._writer = names.recorded(job.service, connection).group
        self._records = ReplayRecords(found, self._writer)
        self._records.load(connection)
        self._topics = _describe_topics(kafka, found.topics)
        self._throttle = Throttle(found.options.rate)

    def run(self, progress: Callable[[int, int], object]) -> jobs.Job:
        """Send what is left and return the job as it stands then; blocks.

        `progress` is called with the events sent and their total. Raises BrokerUnavailable, DependencyDown, UsageError,
        jobs.Taken or psycopg.Error, with all that was acknowledged made durable.
        """
        batch_bytes = min(RECORDS_BYTES, *(topic.max_bytes for topic in self._topics.values()))
        with Sender(self._kafka, self._writer, linger=Linger(), batch_bytes=batch_bytes) as sender:
            sender.check()
            while self._job.state != "done":
                progress(self._job.sent, self._job.total)
                # Read while the throttle waits: a slow database then costs no rate.
                rows = self._fetch()
                if not self._wait_for_turn(sender):
                    break
                if rows:
                    self._send(sender, rows)
                else:
                    jobs.finish(self._connection, self._job.id)
                    self._job = dataclasses.replace(self._job, finished_at=datetime.now(UTC))
        return dataclasses.replace(self._job, locked=False)

    def _fetch(self) -> list[Row]:
        job = self._job
        first = max(job.first, job.position + 1)
        values = job.options.values() | {"first": first, "without": job.without, "rows": self._throttle.rows}
        # Unprepared: the plan is made with the values known.
        found = self._connection.execute(FETCH, values, prepare=False).fetchall()
        rows = _cut_to_memory([Row._make(row) for row in found])
        self._check(rows)
        unread = [row.position for row in rows if row.payload is None]
        if not unread:
            return rows
        payloads = dict(self._connection.execute(PAYLOADS, (unread,)).fetchall())
        return [row if row.payload is not None else row._replace(payload=payloads[row.position]) for row in rows]

    def _check(self, rows: Sequence[Row]) -> None:
        """Stop before the first record that must not or cannot be sent."""
        by_age = sorted(rows, key=lambda row: row.recorded_epoch, reverse=True)
        oldest = {row.event_type: datetime.fromtimestamp(row.recorded_epoch, UTC) for row in by_age}
        if reason := forgotten(self._retentions, oldest):
            raise UsageError(reason)
        for kind, version in sorted(self._records.unregistered(frozenset(row.kind for row in rows))):
            raise DependencyDown(f"no schema id for {kind} v{version}; run: python -m waybill contracts register")
        for row in rows:
            assert row.topic is not None
            limit = self._topics[row.topic].max_bytes
            if row.size + ROOM_BYTES > limit and (size := self._records.size(row)) > limit:
                raise DependencyDown(
                    f"position {row.position} takes {size} bytes, and topic {row.topic!r} takes {limit}; "
                    "raise its max.message.bytes"
                )

    def _wait_for_turn(self, sender: Sender) -> bool:
        """Wait until the next batch may leave; False where told to stop."""
        while not self._stop_requested():
            left = self._throttle.wait_seconds(time.monotonic())
            if not left:
                return True
            sender.poll(min(left, 0.05))
        return False

    def _send(self, sender: Sender, rows: Sequence[Row]) -> None:
        position = rows[-1].position
        batch = Batch(Cursor(position))
        self._throttle.sent(time.monotonic())
        sender.send(batch, rows, self._records)
        self._wait_for_acknowledgements(sender, batch)
        jobs.advance(self._connection, self._job.id, self._job.position, position, len(rows))
        self._job = dataclasses.replace(self._job, position=position, sent=self._job.sent + len(rows))

    def _wait_for_acknowledgements(self, sender: Sender, batch: Batch) -> None:
        acknowledged, since = 0, time.monotonic()
        while not batch.arrived:
            sender.poll(0.05)
            now = time.monotonic()
            if batch.error is not None:
                raise BrokerUnavailable(batch.error.str())
            if batch.acknowledged != acknowledged:
                acknowledged, since = batch.acknowledged, now
            limit = STOP_SECONDS if self._stop_requested() else STALL_SECONDS
            if now - since > limit:
                raise BrokerUnavailable(sender.last_error or f"no acknowledgement for {limit:.0f} s")


def _describe_topics(kafka: Mapping[str, str], names: Collection[str]) -> dict[str, Topic]:
    found = broker.describe(kafka, names)
    for name, topic in found.items():
        if not topic.exists:
            raise DependencyDown(f"topic {name!r} does not exist; create it with: python -m waybill contracts topics")
        if not topic.writable:
            raise DependencyDown(f"not allowed to write to topic {name!r}; grant Write to whoever replays")
    return found


def _cut_to_memory(rows: Sequence[Row]) -> list[Row]:
    """Cut the rows where their payloads would take too much memory, but never to none."""
    taken, size = 0, 0
    for row in rows:
        size += row.size
        if taken and size > BATCH_BYTES:
            break
        taken += 1
    return list(rows[:taken])

"""Batches on their way, and the cursor made durable when the oldest of them have arrived.

Each batch carries the cursor as it was after its page was read, with the positions that were missing then. Batches
settle in order, so the durable cursor never passes a position whose record was not acknowledged by all in-sync replicas
or kept as a dead letter. Dead letters, and those that were redriven, are written in the transaction that moves it.

No batch waits for PostgreSQL's disk: a checkpoint alone commits without it, and the next heartbeat, a second later at
most, waits for all WAL before its own. So what a crash of the server takes back of the cursor was published since the
last heartbeat, and is published again; a row that it passed is never lost, since WAL is written in sequence. What
becomes of dead letters waits for the disk with the cursor that passes them.

While a page is read ahead the cursor is written behind that statement, on the reader's thread.
"""

import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from itertools import takewhile
from typing import Final, LiteralString

from confluent_kafka import KafkaError

from outbox_relay.relay.cursor import Cursor
from outbox_relay.relay.dead_letters import REFUSALS, DeadLetters
from outbox_relay.relay.kafka.broker import BrokerUnavailable
from outbox_relay.relay.kafka.producer import Batch, RenewProducer, Sender
from outbox_relay.relay.kafka.records import TRACE
from outbox_relay.relay.leadership import Leadership
from outbox_relay.relay.reading import Reader
from outbox_relay.relay.spans import published
from waybill.observability import metrics
from waybill.runtime import failpoint
from waybill.runtime.condition import Condition

TROUBLE_SECONDS: Final = 3.0  # without an acknowledgement, before /readyz and the log say so

# Refuses to overwrite what an operator has set meanwhile.
RECORD: Final = """
UPDATE waybill_outbox_cursor SET position = %s, missing = %s::bigint[], updated_at = clock_timestamp()
WHERE position = %s
"""
# The setting ends with the statement's own transaction.
CHECKPOINT: Final = f"{RECORD} AND set_config('synchronous_commit', 'off', true) = 'off'"


class InFlight:
    """The batches of one producer that are not settled, oldest first; `recorded` is the cursor in the database."""

    def __init__(
        self,
        leadership: Leadership,
        reader: Reader,
        sender: Sender,
        dead_letters: DeadLetters,
        condition: Condition,
        recorded: Cursor,
    ) -> None:
        """Begin with none."""
        self._leadership, self._connection, self._service = leadership, leadership.connection, leadership.service
        self._reader, self._sender, self._dead_letters, self._condition = reader, sender, dead_letters, condition
        self.recorded = recorded
        self.settled_rows = 0
        self._batches: deque[Batch] = deque()
        self._arrived: Sequence[Batch] = ()  # the first of these, while their cursor is made durable
        self._arrived_ns = 0
        self._recording: Future[None] | None = None
        self._stall = _Stall()

    def __len__(self) -> int:
        """Return how many batches are not settled."""
        return len(self._batches)

    @property
    def rows(self) -> int:
        """Return how many rows were handed to the producer and are not settled."""
        return sum(batch.rows for batch in self._batches)

    @property
    def is_recording(self) -> bool:
        """Say whether the session is in use by a cursor that is being written."""
        return self._recording is not None

    @property
    def waited_seconds(self) -> float:
        """Return how long ago the oldest batch was sent; there must be one."""
        return time.monotonic() - self._batches[0].sent_at

    def add(self, batch: Batch) -> None:
        """Take a batch that is about to be sent."""
        if not self._batches:
            self._stall.begins(batch.sent_at)
        self._batches.append(batch)

    def settle(self) -> None:
        """Make durable what was acknowledged. Raises BrokerUnavailable, RenewProducer or psycopg.Error."""
        self._sender.poll(0)
        if self._batches:
            self._sender.commit(self._batches[0])
        if self._recording is not None and self._recording.done():
            self._recording.result()
            self._let_go()
        if self._recording is None:
            self._arrived = [*takewhile(lambda batch: batch.arrived and batch.error is None, self._batches)]
            if self._arrived:
                self._arrived_ns = time.time_ns()
                self._record(self._arrived)
        for batch in self._batches:
            if batch.error is not None:
                raise BrokerUnavailable(batch.error.str())

    def refusal(self) -> KafkaError | None:
        """Return why the broker refused a record for its own sake, if it did."""
        errors = (batch.error for batch in self._batches if batch.error is not None)
        return next((error for error in errors if error.code() in REFUSALS), None)

    def watch(self, limit_seconds: float) -> None:
        """Notice that nothing is acknowledged any more. Raises BrokerUnavailable once that has lasted too long."""
        acknowledged = self.settled_rows + sum(batch.acknowledged for batch in self._batches)
        seconds = self._stall.seconds(acknowledged)
        if seconds > TROUBLE_SECONDS:
            reason = self._sender.last_error or f"no acknowledgement for {TROUBLE_SECONDS:.0f} s"
            self._condition.fails("broker", reason)
            if seconds > limit_seconds:
                raise BrokerUnavailable(reason)

    def _record(self, arrived: Sequence[Batch]) -> None:
        failpoint.reach("relay.acknowledged")
        self._condition.recovered("broker")  # first: who sees the cursor move finds the relay ready
        cursor = arrived[-1].cursor
        refused = [row for batch in arrived for row in batch.refused]
        released = [event_id for batch in arrived for event_id in batch.released]
        if refused or released:
            with self._connection.transaction():
                self._dead_letters.store(self._connection, refused, released)
                self._write(RECORD, cursor)
            if released:
                self._dead_letters.load(self._connection)  # nothing else is in flight beside a release
        elif self._reader.is_ahead:
            self._recording = self._reader.aside(lambda: self._write(CHECKPOINT, cursor))
            return
        elif (cursor.position, cursor.missing) != (self.recorded.position, self.recorded.missing):
            self._write(CHECKPOINT, cursor)
        self._let_go()

    def _write(self, statement: LiteralString, cursor: Cursor) -> None:
        values = (cursor.position, cursor.missing, self.recorded.position)
        failpoint.reach("relay.before_cursor")
        if not self._connection.execute(statement, values).rowcount:
            raise RenewProducer("somebody else has set the cursor")

    def _let_go(self) -> None:
        """Forget the batches that arrived and whose cursor is written."""
        for _ in self._arrived:
            self._batches.popleft()
        self._recording = None
        self.recorded = self._arrived[-1].cursor
        self._leadership.wrote(self.recorded.position)
        _measure(self._service, self._arrived)
        for batch in self._arrived:
            published(self._service, batch, self._arrived_ns)
        self.settled_rows += sum(batch.rows for batch in self._arrived)


class _Stall:
    """For how long the number of acknowledgements has not changed."""

    def __init__(self) -> None:
        self._acknowledged = 0
        self._since = time.monotonic()

    def begins(self, now: float) -> None:
        self._since = now

    def seconds(self, acknowledged: int) -> float:
        now = time.monotonic()
        if acknowledged != self._acknowledged:
            self._acknowledged, self._since = acknowledged, now
        return now - self._since


def _measure(service: str, arrived: Sequence[Batch]) -> None:
    for batch in arrived:
        for topic, count in batch.topics.items():
            metrics.inc("outbox_published_total", count, service=service, topic=topic)
        if batch.oldest_epoch is not None:
            seconds = time.time() - batch.oldest_epoch
            trace = batch.traced[0][TRACE] if batch.traced else None
            metrics.observe("outbox_commit_to_ack_seconds", seconds, trace, service=service)

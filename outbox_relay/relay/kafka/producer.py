"""The producer's life: built, used for as long as it is sound, thrown away, built anew.

librdkafka's idempotent producer keeps the order of a key for as long as nothing fails permanently. Its settings here
are chosen for what happens when something does:

    max.in.flight=1             A second request is sent only when the fate of the first is known. Costs nothing in
                                rate: what waits for a request under way leaves as one larger batch (520,000 records/s
                                with 1, as with 5).
    enable.gapless.guarantee    A refusal ends the producer, and nothing leaves its queue but one request that is ready.
                                That one the broker refuses as out of sequence, if it knows the producer: on a partition
                                to which it has written nothing yet, version 3 would come to stand without version 2. So
                                a key's second record is handed over only when its partition has acknowledged one.
    message.timeout.ms=0        A record never expires in the queue; by default 5 minutes make 1, 4, 5 out of 1 to 5.
    linger.ms=0                 Waiting is the latency of every hop; with one request in flight batches form by
                                themselves whenever there is more to send than the broker has acknowledged. They
                                stay small, so a relay that catches up waits a little: kafka/linger.py.
    batch.size                  No batch exceeds the smallest `max.message.bytes` among the topics, for the broker
                                refuses a batch as a whole, innocent keys included.
    partitioner=murmur2_random  The Java clients' choice: a key keeps its partition if Debezium takes the relay's place.

What a stale producer still had on the wire when it was thrown away may arrive: as copies, and in order, because it is
at most one request for a partition, and Kafka takes that whole or not at all.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Self

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from outbox_relay.relay.cursor import Cursor
from outbox_relay.relay.dead_letters import RefusedRow
from outbox_relay.relay.kafka.broker import ANSWER_SECONDS, SILENT, BrokerUnavailable, reason_of
from outbox_relay.relay.kafka.linger import Linger
from outbox_relay.relay.kafka.records import KEY, TOPIC, Fetched, Records, Row
from waybill.kafka.access import AWAY, REFUSALS, Login, one_line, tell

QUEUE_RECORDS: Final = 1_000_000
ANY_PARTITION: Final = -1  # the partitioner's choice
NOW: Final = 0  # the record's timestamp

# Whatever fails aborts the transaction, so nothing passes a refused record, and what expires leaves no hole.
TRANSACTIONS: Final = {
    "enable.gapless.guarantee": False,
    "message.timeout.ms": 30_000,
    "transaction.timeout.ms": 60_000,
}

Partition = tuple[str | None, int | None]


class RenewProducer(Exception):
    """The producer must be replaced, and nothing is wrong with the environment."""


@dataclass(slots=True)
class Batch:
    """Records on their way, and the cursor that becomes durable when they have arrived."""

    cursor: Cursor
    rows: int = 0
    refused: list[RefusedRow] = field(default_factory=list[RefusedRow])
    released: Sequence[str] = ()  # ids of dead letters that were redriven
    topics: Counter[str] = field(default_factory=Counter[str])
    oldest_epoch: float | None = None
    sent_at: float = field(default_factory=time.monotonic)
    acknowledged: int = 0
    open: bool = False  # in a Kafka transaction that is not committed yet
    error: KafkaError | None = None
    partitions: set[Partition] | None = None  # where they arrived, if anybody needs to know
    traced: Sequence[Fetched] = ()  # rows of traces that are recorded
    sent_ns: int = 0  # since 1970, for their spans

    @property
    def arrived(self) -> bool:
        """Say whether every record was acknowledged, and the transaction around them committed."""
        return self.acknowledged == self.rows and not self.open

    def delivered(self, error: KafkaError | None, message: Message) -> None:
        """Count one delivery; called by librdkafka, also with an exception pending, so it raises nothing itself."""
        if error is None:
            self.acknowledged += 1
            if self.partitions is not None:
                self.partitions.add((message.topic(), message.partition()))
        elif self.error is None:
            self.error = error


class Sender:
    """One producer from its making to its end."""

    def __init__(
        self,
        kafka: Mapping[str, str],
        service: str,
        *,
        batch_bytes: int,
        linger: Linger,
        transactional: bool = False,
    ) -> None:
        """Build the producer; does not wait for the broker, see `check`."""
        self.batch_bytes, self.linger = batch_bytes, linger
        self._transactional = transactional
        self.last_error = ""
        self._kafka, self._login = kafka, Login(kafka)
        self._refused: KafkaError | None = None
        self._fenced = False
        self._known_at: set[Partition] = set()
        self._producer = Producer(
            {
                **kafka,
                "client.id": f"outbox_relay {service}",
                "acks": "all",
                "batch.size": batch_bytes,
                "compression.type": "lz4",
                "enable.gapless.guarantee": True,
                "enable.idempotence": True,
                "linger.ms": linger.milliseconds,
                "max.in.flight": 1,
                "message.max.bytes": 1_000_000_000,  # each topic's own limit is held against every row before
                "message.timeout.ms": 0,
                "partitioner": "murmur2_random",
                "queue.buffering.max.messages": QUEUE_RECORDS,  # bounded by the batches in flight
                "reconnect.backoff.max.ms": 1_000,
                "socket.nagle.disable": True,
                "error_cb": self._noticed,
                "logger": SILENT,
                **(TRANSACTIONS | {"transactional.id": f"outbox_relay.{service}"} if transactional else {}),
            }
        )

    def __enter__(self) -> Self:
        """Return the sender."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Drop what has not been acknowledged: nothing more leaves once this returns."""
        self._producer.purge()
        self._drain()
        del self._producer

    def check(self) -> None:
        """Ask the broker for its topics; blocks up to 2 s. Raises BrokerUnavailable where it does not answer.

        With transactions it also fences whoever had this service's producer before, and ends what that one left open.
        """
        try:
            if self._transactional and not self._fenced:
                self._producer.init_transactions(ANSWER_SECONDS)
                self._fenced = True
            brokers = self._producer.list_topics(timeout=ANSWER_SECONDS).brokers
        except (KafkaException, SystemError) as error:
            self._drain()  # the reason why we are refused comes by a callback alone
            told = self._refused and tell(self._kafka, self._refused)
            raise BrokerUnavailable(told or self.last_error or reason_of(error)) from None
        if not brokers:
            # One that was frozen answers before it is let in again; a client that is told of no broker asks none again.
            raise BrokerUnavailable("the broker that answers is not let into its cluster yet")
        self.last_error, self._refused = "", None

    def send(self, batch: Batch, rows: Sequence[Fetched], records: Records) -> None:
        """Hand rows to the producer, in order; raises BrokerUnavailable where it is spent."""
        produce, delivered, value, headers = self._producer.produce, batch.delivered, records.value, records.headers
        batch.sent_at = time.monotonic()
        try:
            if self._transactional and not batch.open and rows:
                self._producer.begin_transaction()
                batch.open = True
            batch.rows += len(rows)
            for row in rows:
                # By position: to read the arguments by name costs the client a tenth of what a record costs here.
                produce(row[TOPIC], value(row), row[KEY], ANY_PARTITION, delivered, None, NOW, headers(row))
        except (KafkaException, BufferError) as error:
            self._drain()
            raise BrokerUnavailable(reason_of(error)) from None

    def send_first(
        self, batch: Batch, rows: Sequence[Row], records: Records, meanwhile: Callable[[], object]
    ) -> Sequence[Row]:
        """Make a new producer known to the partitions that the rows go to; returns the rows still to be sent.

        Blocks until the first record of each key has arrived, calling `meanwhile` every 50 ms at least. Raises
        BrokerUnavailable.
        """
        batch.partitions = self._known_at
        first = {(row.topic, row.aggregate_id): row for row in reversed(rows)}
        positions = {row.position for row in first.values()}
        self.send_apart(batch, [[row for row in rows if row.position in positions]], records, meanwhile)
        return [row for row in rows if row.position not in positions]

    def knows(self, topic: str, partitions: int) -> bool:
        """Say whether this producer has written to every partition of the topic."""
        return all((topic, partition) in self._known_at for partition in range(partitions))

    def send_apart(
        self, batch: Batch, waves: Iterable[Sequence[Row]], records: Records, meanwhile: Callable[[], object]
    ) -> None:
        """Send each wave once the one before it has arrived; blocks like `send_first`. Raises BrokerUnavailable."""
        for wave in waves:
            self.send(batch, wave, records)
            while batch.error is None and batch.acknowledged < batch.rows:
                self.poll(0.05)
                meanwhile()
            if batch.error is not None:
                raise BrokerUnavailable(batch.error.str())

    def commit(self, batch: Batch) -> None:
        """End the batch's transaction once all of it is acknowledged; blocks up to 2 s. Raises BrokerUnavailable."""
        if not batch.open or batch.error is not None or batch.acknowledged < batch.rows:
            return
        try:
            self._producer.commit_transaction(ANSWER_SECONDS)
        except (KafkaException, SystemError) as error:
            self._drain()
            raise BrokerUnavailable(reason_of(error)) from None
        batch.open = False

    def poll(self, seconds: float) -> None:
        """Serve deliveries; blocks until one comes or the time is over. Raises BrokerUnavailable where it is spent."""
        try:
            self._producer.poll(seconds)
        except (KafkaException, SystemError) as error:
            # A fatal error leaves poll as an exception; a callback served while it leaves makes a SystemError of it.
            self._drain()
            raise BrokerUnavailable(reason_of(error)) from None

    def _drain(self) -> None:
        for _ in range(10):
            try:
                if not self._producer.poll(0):
                    return
            except (KafkaException, SystemError):
                continue

    def renew_login(self) -> None:
        """Take up a password that has changed."""
        self._login.renew(self._producer)

    def _noticed(self, error: KafkaError) -> None:
        if error.code() in REFUSALS:
            self._refused = error
        if error.code() in AWAY and self.last_error:
            return  # that all brokers are down follows from what was said before
        self.last_error = f"{error.name()}: {one_line(error)}"

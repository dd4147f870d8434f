"""Read, choose, send, settle: from the outbox to Kafka, without losing, reordering or waiting for a missing position.

Model. The outbox is an append-only table; a row's position rises, and within one aggregate it rises with the version,
because positions are taken while the aggregate's row is locked. A publishing session is one leader with one producer:
it loads the durable cursor, and then repeats

    read      every visible row that has not been passed, lowest position first, in one snapshot (reading.py)
    choose    what of them may be sent now, what becomes a dead letter, and what must wait (choosing.py)
    send      hand the rows over in that order, without waiting; `relay_batches_in_flight` batches may be in flight
    settle    when all records of the oldest batch have been acknowledged, make its cursor durable (settling.py)
    wait      for the next reading, an acknowledgement, or a wake-up signal (waiting.py)

until something breaks. Nothing is repaired in place: whatever breaks, the session ends, its producer is thrown away,
and the next session starts from the durable cursor. So there is one way to recover, it is used for every failure, and
it repeats at most the batches in flight. Only a crash of the database repeats more: what was published since the last
heartbeat, a second ago at most (settling.py).

Why the order holds. Rows leave in position order within a snapshot. A row that becomes visible late belongs to another
aggregate than everything that overtook it (whoever writes version n+1 has seen n committed), so it may be sent the
moment it is seen. One producer, idempotent and gapless, keeps the order of what it was given; a new one starts only
after the old one has dropped its queue, and it starts at or below everything that was not acknowledged.

Why nothing is lost. The cursor (cursor.py) passes a position only when it was seen or proved dead. It is written only
after every record below it was acknowledged by all in-sync replicas, or is kept as a dead letter (dead_letters.py).

On each failure:
    broker away, not enough replicas    the producer retries by itself; after `relay_stall_seconds` without any
                                        acknowledgement it is replaced, since an idempotent one is known to stay stuck
    producer's fatal error              new session
    a record is refused                 new session; what was in flight is sent one by one until the record is found,
                                        which then becomes a dead letter
    an operator pauses, or redrives     seen with the heartbeat; when all in flight has arrived the session ends, or
                                        sends the dead letters first
    an operator discards                seen with the heartbeat; dead letters are read anew once all has arrived
    a long backlog, or its end          new session with another linger (kafka/linger.py)
    schema id not registered            publish nothing past that row: a deployment is behind
    topic unknown                       the same, for a grace; then its records become dead letters
    database away, session ended        the producer is dropped first of all; then reconnect, and stand by like anyone
    kill -9                             as above, by the next process
    another server behind the URL       logged at ERROR (the durable cursor is in the same database, so it fits it)
    positions that may repeat           refused: a cached or re-set identity, a replica

Rejected alternatives: a status column (an UPDATE per event: 27,000/s in place of 142,000/s), deleting what was sent (no
replay), a replication slot (fills the disk when nobody reads), waiting for gaps (another session's transaction delays
everybody).
"""

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from operator import itemgetter
from threading import Event
from typing import Any, Final

import structlog

from outbox_relay.relay.choosing import Chooser, Chosen, SmallerBatches
from outbox_relay.relay.cursor import Cursor
from outbox_relay.relay.dead_letters import RELEASE_FOLLOWERS, DeadLetters, Division
from outbox_relay.relay.kafka.producer import Batch, RenewProducer, Sender
from outbox_relay.relay.kafka.records import EPOCH, TOPIC, Fetched, Records, Row, published_as
from outbox_relay.relay.leadership import Leadership
from outbox_relay.relay.reading import Reader
from outbox_relay.relay.safety.positions import PositionsUnsafe, check_server
from outbox_relay.relay.settling import InFlight
from outbox_relay.relay.spans import traced
from outbox_relay.relay.waiting import Schedule
from outbox_relay.settings import RelaySettings
from waybill.observability import metrics
from waybill.runtime import failpoint
from waybill.runtime.condition import Condition
from waybill.runtime.wake_up import WakeUpSignal

log: Any = structlog.get_logger()

# A page while records are sent one by one: each waits for its acknowledgement, and the heartbeat must go on.
ONE_BY_ONE_ROWS: Final = 20
ACKNOWLEDGED_SECONDS: Final = 0.004  # about what a batch takes; each look costs as much as a statement
CHECK_SECONDS: Final = 10.0  # between two looks at what the positions rely on
PRODUCER_SECONDS: Final = 12 * 3600.0  # a broker forgets one that was silent for a day (producer.id.expiration.ms)

LOAD: Final = "SELECT position, missing FROM waybill_outbox_cursor"


class PublishingSession:
    """One leader with one producer, from the durable cursor until something breaks; used by one thread, once."""

    def __init__(
        self,
        settings: RelaySettings,
        leadership: Leadership,
        sender: Sender,
        wake_up: WakeUpSignal,
        dead_letters: DeadLetters,
        condition: Condition,
    ) -> None:
        """Load what is durable, and record who holds the missing positions. Raises PositionsUnsafe, psycopg.Error."""
        self._settings, self._leadership, self._sender = settings, leadership, sender
        self._dead_letters, self._condition = dead_letters, condition
        connection = leadership.connection
        self._reader, self._records = Reader(connection), Records(published_as(connection, leadership.service))
        self._records.load(connection)
        self._decision = leadership.asked.decision  # before the dead letters are read
        dead_letters.load(connection)
        self._cursor = self._load()
        self._in_flight = InFlight(leadership, self._reader, sender, dead_letters, condition, self._cursor)
        self._chooser = Chooser(leadership, self._reader, self._records, sender, dead_letters, condition)
        self._schedule = Schedule(wake_up)
        self._most_in_flight = 1 if settings.relay_transactions else settings.relay_batches_in_flight
        self._sent_alone: Row | None = None
        self._stopping = Event()
        self._started_at = self._checked_at = time.monotonic()

    @property
    def recorded_position(self) -> int:
        """Return the position that this session last wrote."""
        return self._in_flight.recorded.position

    @property
    def has_settled(self) -> bool:
        """Say whether anything was acknowledged and made durable."""
        return self._in_flight.settled_rows > 0

    def publish(self, stopping: Event) -> None:
        """Publish until `stopping` is set; blocks. Raises BrokerUnavailable, RenewProducer or psycopg.Error."""
        self._stopping = stopping
        with self._reader:
            while not stopping.is_set():
                if self._leadership.beat():
                    self._sender.renew_login()
                    self._check_server()
                if self._schedule.is_due:
                    self._advance()
                self._in_flight.settle()
                self._wait()
            self._finish()

    def find_refused(self) -> None:
        """Find out whether a refused record ended the session. Raises RenewProducer where one did."""
        refused = self._in_flight.refusal()
        if refused is None:
            return
        metrics.inc("outbox_publish_failures_total", service=self._leadership.service, reason=refused.name().lower())
        if self._sent_alone is not None:
            self._dead_letters.refuse(self._sent_alone.position, refused.str())
            raise RenewProducer(f"position {self._sent_alone.position} was refused: {refused.str()}")
        self._dead_letters.one_by_one_rows = self._in_flight.rows + self._settings.relay_batch_rows
        raise RenewProducer(f"a record was refused ({refused.str()}): those in flight are sent one by one")

    def _load(self) -> Cursor:
        found = self._leadership.connection.execute(LOAD).fetchone()
        if found is None:
            raise PositionsUnsafe("waybill_outbox_cursor has no row; run: python -m waybill SERVICE migrate")
        position, missing = found
        self._leadership.wrote(position)
        return Cursor.restored(position, missing, time.monotonic()).held_by(self._reader.holders())

    def _check_server(self) -> None:
        now = time.monotonic()
        if not self._in_flight.is_recording and now - self._checked_at > CHECK_SECONDS:
            if check_server(self._leadership.connection, self.recorded_position) != self.recorded_position:
                raise RenewProducer("the cursor was set by hand")
            self._checked_at = now

    def _advance(self) -> None:
        """Do the first that is due: a pause, a redrive, a decision, another linger, or else the next page.

        All but the next page need that nothing is in flight. Until then nothing new is sent, and the call returns.
        """
        asked, linger = self._leadership.asked, self._sender.linger
        if asked.pause:
            self._end_when_arrived(f"paused {asked.pause}")  # the next session begins once the pause is over
        elif asked.release:
            if not self._in_flight:
                self._release()
        elif asked.decision != self._decision:
            if not self._in_flight:  # the dead letters of batches in flight are not in the table yet
                self._dead_letters.load(self._leadership.connection)
                self._decision = asked.decision
        elif linger.must_change(time.monotonic()):
            self._schedule.poll()
            if not self._in_flight:
                raise RenewProducer(linger.change())
        elif len(self._in_flight) < self._most_in_flight:
            self._read_on()

    def _end_when_arrived(self, reason: str) -> None:
        self._schedule.poll()
        if not self._in_flight:
            raise RenewProducer(reason)

    def _release(self) -> None:
        """Send dead letters that were redriven; nothing is in flight, so no follower becomes one meanwhile."""
        self._leadership.connection.execute(RELEASE_FOLLOWERS)
        page, division = self._chooser.choose_released(self._page_rows)
        if division.send or division.refused:
            self._hand_over(self._cursor, division, [Row._make(row).event_id for row in division.send])
        elif page.rows:
            self._schedule.hold()
        else:
            self._leadership.asked = self._leadership.asked._replace(release=False)

    @property
    def _page_rows(self) -> int:
        return ONE_BY_ONE_ROWS if self._dead_letters.one_by_one_rows else self._settings.relay_batch_rows

    def _read_on(self) -> None:
        try:
            chosen = self._chooser.choose(self._cursor, self._page_rows, in_flight=bool(self._in_flight))
        except SmallerBatches:
            self._schedule.poll()  # the new producer starts once nothing is in flight
            return
        one_by_one = self._dead_letters.one_by_one_rows > 0
        # A backlog asks for a producer that lingers; one by one each record would wait for that.
        backlog = chosen.full and not chosen.held and not one_by_one
        self._sender.linger.read(now := time.monotonic(), full=backlog)
        if backlog and not self._sender.linger.must_change(now):
            self._reader.read_ahead(chosen.cursor, self._page_rows)
        if not (chosen.rows or self._in_flight or chosen.held):
            self._caught_up()
        self._plan_next(chosen)
        if chosen.rows or chosen.cursor != self._cursor:
            self._hand_over(chosen.cursor, chosen.division)

    def _plan_next(self, chosen: Chosen) -> None:
        self._schedule.after(rows=chosen.rows > 0, full=chosen.full)
        if chosen.held:
            self._schedule.hold()

    def _caught_up(self) -> None:
        if time.monotonic() - self._started_at > PRODUCER_SECONDS:
            raise RenewProducer("the producer is half a day old")
        self._dead_letters.one_by_one_rows = 0
        if self._sender.last_error:
            self._sender.check()  # with nothing to send, no acknowledgement would say that the broker is back
        self._condition.recovered("broker", "topic", "schema")

    def _hand_over(self, cursor: Cursor, division: Division, released: Sequence[str] = ()) -> None:
        failpoint.reach("relay.fetched")
        self._leadership.beat()  # raises in one whose session was ended while it was frozen in the fetch
        batch = Batch(cursor, refused=division.refused, released=released)
        batch.topics = Counter(map(itemgetter(TOPIC), division.send))
        batch.oldest_epoch = division.send[0][EPOCH] if division.send else None
        batch.traced, batch.sent_ns = traced(division.send), time.time_ns()
        self._in_flight.add(batch)
        self._cursor = cursor
        self._send(batch, self._reader.with_payloads(division.send))
        failpoint.reach("relay.produced")

    def _send(self, batch: Batch, rows: Sequence[Fetched]) -> None:
        if self._dead_letters.one_by_one_rows:
            self._sender.send_apart(batch, self._one_by_one(map(Row._make, rows)), self._records, self._while_waiting)
            self._dead_letters.one_by_one_rows = max(0, self._dead_letters.one_by_one_rows - len(rows))
            return
        if not all(self._sender.knows(topic, self._dead_letters.partitions(topic)) for topic in batch.topics):
            # A partition that does not know the producer yet could take a key's second record without the first
            # (docs/decisions/0010): so the first of each key goes alone.
            rows = self._sender.send_first(batch, [*map(Row._make, rows)], self._records, self._while_waiting)
        self._sender.send(batch, rows, self._records)

    def _one_by_one(self, rows: Iterable[Row]) -> Iterator[Sequence[Row]]:
        for row in rows:
            self._sent_alone = row
            yield [row]  # the next is asked for once this one was acknowledged
        self._sent_alone = None

    def _while_waiting(self) -> None:
        if self._stopping.is_set():
            raise RenewProducer("told to stop")
        self._in_flight.watch(self._settings.relay_stall_seconds)
        self._leadership.beat()

    def _wait(self) -> None:
        if not self._in_flight:
            self._schedule.wait()
        elif not self._schedule.is_due or len(self._in_flight) >= self._most_in_flight:
            self._wait_for_acknowledgements(full=len(self._in_flight) >= self._most_in_flight)
            self._in_flight.watch(self._settings.relay_stall_seconds)

    def _wait_for_acknowledgements(self, *, full: bool) -> None:
        seconds = min(max(self._in_flight.waited_seconds / 20, 0.001), 0.05)
        if full or not self._schedule.is_told:
            self._sender.poll(seconds)
            self._schedule.listen()
        else:  # nobody waits for an acknowledgement, and somebody for the next event
            self._schedule.listen(max(seconds, ACKNOWLEDGED_SECONDS))

    def _finish(self) -> None:
        until = time.monotonic() + self._settings.relay_stop_seconds
        while self._in_flight and time.monotonic() < until:
            self._sender.poll(0.05)
            self._in_flight.settle()
            self._leadership.beat()
        log.info("relay_stops", position=self.recorded_position, unacknowledged=self._in_flight.rows)

"""Fetch, produce, acknowledge: from the outbox to Kafka, losing nothing, reordering nothing, waiting for nobody.

Model. The outbox is an append-only table; a row's position rises, and within one aggregate it rises with the version,
because positions are taken while the aggregate's row is locked. A *shift* is one leader with one producer: it loads the
durable cursor, and then repeats

    fetch       every visible row that has not been passed, lowest position first, in one snapshot (reading.py)
    produce     hand the rows over in that order, without waiting; `relay_batches_in_flight` batches may be under way
    settle      when all records of the oldest batch have been acknowledged, make the cursor that belongs to it durable

until something breaks. Nothing is repaired in place: whatever breaks, the shift ends, its producer is thrown away, and
the next shift starts from the durable cursor. So there is one way back, it is used for every failure, and it repeats at
most the batches in flight.

Why the order holds. Rows leave in position order within a snapshot. A row that becomes visible late belongs to another
aggregate than everything that overtook it (whoever writes version n+1 has seen n committed), so it may be sent the
moment it is seen. One producer, idempotent and gapless, keeps the order of what it was given; a new one starts only
after the old one has dropped its queue, and it starts at or below everything that was not acknowledged.

Why nothing is lost. The cursor (cursor.py) passes a position only when it was seen or proved dead. It is written only
after every record below it was acknowledged by all in-sync replicas, or stands in `published` (parking.py). Each batch
carries the cursor as it was after its fetch, with the positions that were missing then; batches settle in order.

On each failure:
    broker away, not enough replicas    the producer retries by itself; after `relay_stall_seconds` without any
                                        acknowledgement it is replaced, since an idempotent one is known to stay stuck
    producer's fatal error              new shift
    a record is refused                 new shift; what was in flight is sent one by one until the culprit is parked
    an operator pauses, or redrives     seen with the heartbeat; the shift ends when all has arrived; what is parked
                                        goes first
    an operator discards                seen with the heartbeat; what is parked is read anew once all has arrived
    a long backlog, or its end          new shift with another pace (pace.py)
    schema id not registered            publish nothing past that row: it is the world that is behind
    topic unknown                       the same, for a grace; then its records are parked
    database away, session ended        the producer is dropped first of all; then reconnect, and stand by like anyone
    kill -9                             as above, by the next process
    another server behind the URL       said loudly (the durable cursor stands in the same database, so it fits it)
    positions that may repeat           refused: a cached or re-set identity, a replica

Waiting. A hint (waybill/runtime/hint.py) ends the wait at once. Without one the relay polls at a fiftieth of its idle
time: after 2 to 20 ms, or with hints, which are rarely lost, 20 to 100. `relay_stop_seconds` bounds a stop.

Turned down: a status column (an UPDATE per event: 27,000/s in place of 142,000/s), deleting what was sent (no replay),
a replication slot (fills the disk when nobody reads), waiting for gaps (a stranger's transaction delays everybody).
"""

import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from itertools import takewhile
from operator import itemgetter
from threading import Event
from typing import Any, Final

import structlog

from outbox_relay.relay.broker import BrokerTrouble
from outbox_relay.relay.cursor import Cursor
from outbox_relay.relay.leadership import Leadership
from outbox_relay.relay.parking import REFUSALS, RELEASE_FOLLOWERS, Division, Parking
from outbox_relay.relay.producer import Batch, Sender
from outbox_relay.relay.reading import Page, Reader
from outbox_relay.relay.records import EPOCH, TOPIC, Fetched, Records, Row
from outbox_relay.relay.server import PositionsUnsafe, check_server
from outbox_relay.settings import RelaySettings
from waybill.observability import metrics
from waybill.runtime import failpoint
from waybill.runtime.condition import Condition
from waybill.runtime.hint import Hint

log: Any = structlog.get_logger()

SINGLY_ROWS: Final = 20
TROUBLE_SECONDS: Final = 3.0
HELD_SECONDS: Final = 0.5
CHECK_SECONDS: Final = 10.0  # between two looks at what the positions rely on
PRODUCER_SECONDS: Final = 12 * 3600.0  # a broker forgets one that was silent for a day (producer.id.expiration.ms)
POLL_SECONDS: Final = 0.002
IDLE_SECONDS: Final = {True: (0.02, 0.1), False: (POLL_SECONDS, 0.02)}  # at first and at last, by whether hints work

LOAD: Final = "SELECT position, missing FROM waybill_outbox_cursor"
# Refuses to overwrite what an operator has set meanwhile.
RECORD: Final = """
UPDATE waybill_outbox_cursor
SET position = %s, missing = %s::bigint[], updated_at = clock_timestamp(), heartbeat_at = clock_timestamp()
WHERE position = %s
"""


class NewShift(Exception):
    """The producer must be replaced, and nothing is wrong with the world."""


class Shift:
    """One leader with one producer, from the durable cursor until something breaks."""

    def __init__(
        self,
        settings: RelaySettings,
        leadership: Leadership,
        sender: Sender,
        hint: Hint,
        parking: Parking,
        condition: Condition,
    ) -> None:
        """Load what is durable, and write down who holds what is missing. Raises psycopg.Error."""
        self._settings, self._leadership, self._sender = settings, leadership, sender
        self._hint, self._parking, self._condition = hint, parking, condition
        self._connection, self._service = leadership.connection, leadership.service
        self._reader = Reader(self._connection)
        self._records = Records(leadership.service)
        self._records.load(self._connection)
        self._decision = leadership.asked.decision  # before what is parked is read
        parking.load(self._connection)
        self._cursor = self._recorded = self._load()
        self._in_flight: deque[Batch] = deque()
        self._arrived: Sequence[Batch] = ()  # the first of these, while their cursor is made durable
        self._recording: Future[None] | None = None
        self._room = 1 if settings.relay_transactions else settings.relay_batches_in_flight
        self._alone: Row | None = None
        self._stopping = Event()
        self.settled_rows = 0
        self._acknowledged = 0
        self._started_at = self._checked_at = self._progress_at = self._busy_at = self._due_at = time.monotonic()

    @property
    def recorded_position(self) -> int:
        """Return the position that this shift last made durable."""
        return self._recorded.position

    def work(self, stopping: Event) -> None:
        """Publish until told to stop; raises BrokerTrouble, NewShift or psycopg.Error when the shift is over."""
        self._stopping = stopping
        with self._reader:
            while not stopping.is_set():
                if self._leadership.beat():
                    self._look_around()
                if time.monotonic() >= self._due_at:
                    self._go_on()
                self._settle()
                self._wait()
            self._finish()

    def _look_around(self) -> None:
        now = time.monotonic()
        if self._recording is None and now - self._checked_at > CHECK_SECONDS:
            if check_server(self._connection, self._recorded.position) != self._recorded.position:
                raise NewShift("the cursor was set by hand")
            self._checked_at = now

    def blame(self) -> None:
        """Find out whether a refused record ended the shift; raises NewShift where one did."""
        errors = (batch.error for batch in self._in_flight if batch.error is not None)
        refused = next((error for error in errors if error.code() in REFUSALS), None)
        if refused is None:
            return
        metrics.inc("outbox_publish_failures_total", service=self._service, reason=refused.name().lower())
        if self._alone is not None:
            self._parking.refuse(self._alone.position, refused.str())
            raise NewShift(f"position {self._alone.position} was refused: {refused.str()}")
        self._parking.singly = sum(batch.rows for batch in self._in_flight) + self._settings.relay_batch_rows
        raise NewShift(f"a record was refused ({refused.str()}): those in flight are sent one by one")

    def _load(self) -> Cursor:
        found = self._connection.execute(LOAD).fetchone()
        if found is None:
            raise PositionsUnsafe("outbox_cursor has no row; run: python -m waybill SERVICE migrate")
        position, missing = found
        return Cursor.restored(position, missing, time.monotonic()).held_by(self._reader.holders())

    def _go_on(self) -> None:
        asked = self._leadership.asked
        if asked.pause:
            self._due_at = time.monotonic() + POLL_SECONDS
            if not self._in_flight:
                raise NewShift(f"paused {asked.pause}")
        elif asked.release:
            if not self._in_flight:
                self._release()
        elif asked.decision != self._decision:
            if not self._in_flight:  # what those have parked is not written yet
                self._parking.load(self._connection)
                self._decision = asked.decision
        elif self._sender.pace.is_wrong(time.monotonic()):
            self._due_at = time.monotonic() + POLL_SECONDS
            if not self._in_flight:
                raise NewShift(self._sender.pace.change())
        elif len(self._in_flight) < self._room:
            self._advance()

    def _release(self) -> None:
        self._connection.execute(RELEASE_FOLLOWERS)
        page = self._reader.read_released(self._page_rows)
        self._parking.ask_again()  # an operator has mended something since
        self._learn(page)
        division = self._parking.divide_released(page, self._records)
        if division.send or division.park:
            self._hand_over(self._cursor, division, [Row._make(row).event_id for row in division.send])
        elif page.rows:
            self._due_at = time.monotonic() + HELD_SECONDS
        else:
            self._leadership.asked = self._leadership.asked._replace(release=False)

    @property
    def _page_rows(self) -> int:
        return SINGLY_ROWS if self._parking.singly else self._settings.relay_batch_rows

    def _advance(self) -> None:
        page = self._reader.read(self._cursor, self._page_rows)
        if not self._learn(page):
            return  # read again when what is in flight has arrived
        division = self._divide(page)
        held = division.held_from is not None
        if division.held_from is not None:
            page = page.cut(division.held_from)
        cursor = self._cursor.passing(page.positions, page.holders, page.seen_to, time.monotonic())
        if cursor.needs_holders:
            cursor = cursor.held_by(self._reader.holders())  # after the later position was seen
        full = page.seen_to is not None
        backlog = full and not held and not self._parking.singly  # one by one, each record would linger
        self._sender.pace.read(now := time.monotonic(), full=backlog)
        if backlog and not self._sender.pace.is_wrong(now):
            self._reader.read_ahead(cursor, self._page_rows)
        self._plan(len(page.rows), full=full, held=held)
        if page.rows or cursor != self._cursor:
            self._hand_over(cursor, division)

    def _learn(self, page: Page) -> bool:
        """Ask for topics not seen before; False where one needs smaller batches than are in flight."""
        self._parking.learn(page.topics)
        if self._parking.smallest_limit >= self._sender.batch_bytes:
            return True
        self._due_at = time.monotonic() + POLL_SECONDS
        if not self._in_flight:
            raise NewShift("a topic takes less than the producer's batches")
        return False

    def _divide(self, page: Page) -> Division:
        registered = self._count_registered(page)
        held_for_schema = registered < len(page.rows)
        division = self._parking.divide(page.cut(registered) if held_for_schema else page, self._records)
        if division.held_from is not None:
            self._condition.fails("topic", division.held_for)
        else:
            self._condition.recovered("topic")
            division.held_from = registered if held_for_schema else None
        return division

    def _count_registered(self, page: Page) -> int:
        """Return how many rows stand before the first whose schema has no id yet."""
        missing = self._records.unregistered(page.kinds)
        if missing:
            self._records.load(self._connection)
            missing = self._records.unregistered(page.kinds)
        if not missing:
            self._condition.recovered("schema")
            return len(page.rows)
        kinds = ", ".join(f"{name} v{version}" for name, version in sorted(missing))
        self._condition.fails("schema", f"no schema id yet for {kinds}; run: python -m waybill contracts register")
        rows = enumerate(map(Row._make, page.rows))
        return next(index for index, row in rows if row.topic is not None and row.kind in missing)

    def _hand_over(self, cursor: Cursor, division: Division, released: Sequence[str] = ()) -> None:
        failpoint.reach("relay.fetched")
        self._leadership.beat()  # raises in one that was put out while it was frozen in the fetch
        batch = Batch(cursor, parked=division.park, released=released)
        batch.topics = Counter(map(itemgetter(TOPIC), division.send))
        batch.oldest_epoch = division.send[0][EPOCH] if division.send else None
        if not self._in_flight:
            self._progress_at = batch.sent_at
        self._in_flight.append(batch)
        self._cursor = cursor
        self._send(batch, self._reader.with_payloads(division.send))
        failpoint.reach("relay.produced")

    def _send(self, batch: Batch, rows: Sequence[Fetched]) -> None:
        if self._parking.singly:
            self._sender.send_apart(batch, self._one_by_one(map(Row._make, rows)), self._records, self._meanwhile)
            self._parking.singly = max(0, self._parking.singly - len(rows))
            return
        if not all(self._sender.knows(topic, self._parking.partitions(topic)) for topic in batch.topics):
            rows = self._sender.send_first(batch, [*map(Row._make, rows)], self._records, self._meanwhile)
        self._sender.send(batch, rows, self._records)

    def _one_by_one(self, rows: Iterable[Row]) -> Iterator[Sequence[Row]]:
        for row in rows:
            self._alone = row
            yield [row]
        self._alone = None

    def _meanwhile(self) -> None:
        if self._stopping.is_set():
            raise NewShift("told to stop")
        self._watch()
        self._leadership.beat()

    def _settle(self) -> None:
        self._sender.poll(0)
        if self._in_flight:
            self._sender.commit(self._in_flight[0])
        if self._recording is not None and self._recording.done():
            self._recording.result()
            self._let_go()
        if self._recording is None:
            self._arrived = [*takewhile(lambda batch: batch.arrived and batch.error is None, self._in_flight)]
            if self._arrived:
                self._record(self._arrived)
        for batch in self._in_flight:
            if batch.error is not None:
                raise BrokerTrouble(batch.error.str())

    def _record(self, arrived: Sequence[Batch]) -> None:
        failpoint.reach("relay.acknowledged")
        cursor = arrived[-1].cursor
        parked = [parked for batch in arrived for parked in batch.parked]
        released = [event_id for batch in arrived for event_id in batch.released]
        if parked or released:
            with self._connection.transaction():
                self._parking.store(self._connection, parked, released)
                self._make_durable(cursor)
            if released:
                self._parking.load(self._connection)  # nothing else is in flight beside a release
        elif self._reader.is_ahead:
            self._recording = self._reader.aside(lambda: self._make_durable(cursor))
            return  # while PostgreSQL waits for its disk, records go on being sent
        elif (cursor.position, cursor.missing) != (self._recorded.position, self._recorded.missing):
            self._make_durable(cursor)
        self._let_go()

    def _let_go(self) -> None:
        """Forget the batches that arrived and whose cursor is durable."""
        for _ in self._arrived:
            self._in_flight.popleft()
        self._recording = None
        self._recorded = self._arrived[-1].cursor
        self._condition.recovered("broker")
        _measure(self._service, self._arrived)
        self.settled_rows += sum(batch.rows for batch in self._arrived)

    def _make_durable(self, cursor: Cursor) -> None:
        values = (cursor.position, cursor.missing, self._recorded.position)
        failpoint.reach("relay.before_cursor")
        if not self._connection.execute(RECORD, values).rowcount:
            raise NewShift("somebody else has set the cursor")

    def _plan(self, rows: int, *, full: bool, held: bool) -> None:
        now = time.monotonic()
        if rows:
            self._busy_at = now
        elif not self._in_flight and not held:
            if now - self._started_at > PRODUCER_SECONDS:
                raise NewShift("the producer is half a day old")
            self._parking.singly = 0
            if self._sender.last_error:
                self._sender.check()
            self._condition.recovered("broker", "topic", "schema")
        if held:
            self._due_at = now + HELD_SECONDS
        elif full:
            self._due_at = now
        else:
            first, last = IDLE_SECONDS[self._hint.works]
            self._due_at = now + min(max((now - self._busy_at) / 50, first), last)

    def _wait(self) -> None:
        now = time.monotonic()
        if self._in_flight:
            if now < self._due_at or len(self._in_flight) >= self._room:
                waited = now - self._in_flight[0].sent_at
                self._sender.poll(min(max(waited / 20, 0.001), 0.05))
                self._watch()
                if self._hint.wait(0):
                    self._due_at = now
        elif now < self._due_at and self._hint.wait(min(self._due_at - now, 1.0)):
            self._due_at = now

    def _watch(self) -> None:
        """Notice that nothing is acknowledged any more."""
        now = time.monotonic()
        acknowledged = self.settled_rows + sum(batch.acknowledged for batch in self._in_flight)
        if acknowledged != self._acknowledged:
            self._acknowledged, self._progress_at = acknowledged, now
        elif now - self._progress_at > TROUBLE_SECONDS:
            seconds = now - self._progress_at
            reason = self._sender.last_error or f"no acknowledgement for {TROUBLE_SECONDS:.0f} s"
            self._condition.fails("broker", reason)
            if seconds > self._settings.relay_stall_seconds:
                raise BrokerTrouble(reason)

    def _finish(self) -> None:
        until = time.monotonic() + self._settings.relay_stop_seconds
        while self._in_flight and time.monotonic() < until:
            self._sender.poll(0.05)
            self._settle()
            self._leadership.beat()
        log.info("relay_stops", position=self._recorded.position, unacknowledged=sum(b.rows for b in self._in_flight))


def _measure(service: str, arrived: Sequence[Batch]) -> None:
    for batch in arrived:
        for topic, count in batch.topics.items():
            metrics.inc("outbox_published_total", count, service=service, topic=topic)
        if batch.oldest_epoch is not None:
            metrics.observe("outbox_commit_to_ack_seconds", time.time() - batch.oldest_epoch, service=service)

"""What of a page may be sent now: the rows up to the first that must wait, and the cursor that belongs to them.

A row waits for three reasons, and every later one with it, since a snapshot's rows leave in position order. Its topic
takes smaller batches than the producer makes: a new producer is needed. Its schema has no registered id: a deployment
is behind. Its topic does not exist and may still be created. All other refusals are the record's own (dead_letters.py).
"""

import time
from typing import NamedTuple

from outbox_relay.relay.cursor import Cursor
from outbox_relay.relay.dead_letters import DeadLetters, Division
from outbox_relay.relay.kafka.producer import RenewProducer, Sender
from outbox_relay.relay.kafka.records import Records, Row
from outbox_relay.relay.leadership import Leadership
from outbox_relay.relay.reading import Page, Reader
from waybill.runtime.condition import Condition


class Chosen(NamedTuple):
    """What follows from one page; `full`: there is more to read, `held`: a row must wait."""

    cursor: Cursor
    division: Division
    rows: int
    full: bool
    held: bool


class SmallerBatches(Exception):
    """A topic was met that takes less than the producer's batches, and some of these are in flight."""


class Chooser:
    """Read the outbox on from a cursor, and say what becomes of the rows."""

    def __init__(
        self,
        leadership: Leadership,
        reader: Reader,
        records: Records,
        sender: Sender,
        dead_letters: DeadLetters,
        condition: Condition,
    ) -> None:
        """Prepare; reads nothing yet."""
        self._connection = leadership.connection
        self._reader, self._records, self._sender = reader, records, sender
        self._dead_letters, self._condition = dead_letters, condition

    def choose(self, cursor: Cursor, limit: int, *, in_flight: bool) -> Chosen:
        """Read the next page, up to `limit` rows; blocks up to 4 s where a topic is new.

        Raises SmallerBatches, RenewProducer, BrokerUnavailable or psycopg.Error.
        """
        page = self._reader.read(cursor, limit)
        self._learn(page, in_flight=in_flight)
        division = self._divide(page)
        held = division.held_from is not None
        if division.held_from is not None:
            page = page.cut(division.held_from)
        cursor = cursor.passing(page.positions, page.holders, page.seen_to, time.monotonic())
        if cursor.needs_holders:
            cursor = cursor.held_by(self._reader.holders())  # after the later position was seen
        return Chosen(cursor, division, len(page.rows), full=page.seen_to is not None, held=held)

    def choose_released(self, limit: int) -> tuple[Page, Division]:
        """Read dead letters that operators have redriven; nothing may be in flight. Raises as `choose`."""
        page = self._reader.read_released(limit)
        self._dead_letters.ask_again()  # an operator has changed something since
        self._learn(page, in_flight=False)
        return page, self._dead_letters.divide_released(page, self._records)

    def _learn(self, page: Page, *, in_flight: bool) -> None:
        self._dead_letters.learn(page.topics)
        if self._dead_letters.smallest_limit < self._sender.batch_bytes:
            if in_flight:
                raise SmallerBatches
            raise RenewProducer("a topic takes less than the producer's batches")

    def _divide(self, page: Page) -> Division:
        registered = self._count_registered(page)
        held_for_schema = registered < len(page.rows)
        division = self._dead_letters.divide(page.cut(registered) if held_for_schema else page, self._records)
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

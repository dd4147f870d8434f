"""Two databases with the same tables: one side tells of its rows, the other one applies what it is told."""

import itertools
import re
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from schemas.events import OrderCancelled, OrderPlaced
from tests.support.databases import in_use
from tests.support.moving import TABLES, Bookings, Monolith
from waybill.consumer import handling, schema_ids
from waybill.consumer.message import Message
from waybill.contracts import codec
from waybill.inbox import redrive
from waybill.inbox.handlers import Batched, Handlers
from waybill.migrate import appending, verify
from waybill.migrate.handlers import appliers
from waybill.migrate.mapping.document import Mapped
from waybill.runtime.settings import settings

SCHEMA_IDS = {OrderPlaced.event_type: 901, OrderCancelled.event_type: 902}
# The lines have their key in the event, in the field that is there for a number.
MAPPING = """
namespace = "0198c0de-7000-7000-8000-000000000001"

[aggregates.booking]
table = "booking"
key = "id"
event = "waybill.order.OrderPlaced"
ignore = ["remark", "owner_id", "erased_at"]

[aggregates.booking.fields]
order_id = { column = "id", id_of = "booking" }
customer_id = { column = "id", shared = true }
total = { column = "total", minor_units = 2 }
currency = { value = "EUR" }
payment_method = { column = "state", map = { n = "new", c = "closed" } }

[aggregates.booking.fields.lines]
table = "booking_line"
parent = "booking_id"
fields.sku = "item"
fields.quantity = { column = "id", shared = true }
fields.unit_price = { column = "amount", minor_units = 2 }
ignore = ["quantity"]

[aggregates.booking.deleted]
event = "waybill.order.OrderCancelled"
fields.order_id = { column = "id", id_of = "booking" }
fields.customer_id = { column = "id", shared = true }
fields.reason = { value = "deleted" }

[aggregates.booking.apply]

[aggregates.booking.service]
url = "THERE"
table = "booking"
key = "id"
by = "key"
columns = { state = "payment_method", total = "total" }

[aggregates.booking.service.children.lines]
table = "booking_line"
parent = "booking_id"
columns = { item = "sku", id = "quantity", amount = "unit_price" }
"""
KEYED = 'fields.quantity = { column = "id", shared = true }'
KEYLESS = 'fields.quantity = "quantity"'
SINCE = """
SELECT position, event_id::text, aggregate_id, aggregate_version, event_type, payload
FROM waybill_outbox WHERE position > %s ORDER BY position
"""
OWNS = """
INSERT INTO waybill_ownership (source, is_owner, epoch) VALUES ('booking', %s, 0)
ON CONFLICT (source) DO UPDATE SET is_owner = excluded.is_owner
"""
LINES = "SELECT id, booking_id, item, quantity, amount FROM booking_line ORDER BY booking_id, id"
DEAD_LETTERS = "SELECT headers->>'reason' FROM received WHERE status = -1 ORDER BY id"


def keyless(text: str = MAPPING) -> str:
    """The mapping with lines that the event has no key of."""
    return (
        text.replace(KEYED, KEYLESS)
        .replace('ignore = ["quantity"]', "")
        .replace('id = "quantity"', 'quantity = "quantity"')
    )


@dataclass
class Side:
    """One of the two."""

    bookings: Bookings
    service: str
    position: int = 0
    """Up to which its events were delivered."""
    offsets: Any = field(default_factory=itertools.count)

    @classmethod
    def made(cls, database: Monolith, service: str, folder: Path, text: str) -> "Side":
        """Make tables and mapping."""
        ids = ", ".join(f"('{kind}', 1, {schema_id})" for kind, schema_id in SCHEMA_IDS.items())
        database.execute(f"INSERT INTO waybill_schema_id (event_type, schema_version, schema_id) VALUES {ids}")
        database.execute(TABLES)
        database.execute("UPDATE booking_line SET quantity = 1; ALTER TABLE booking_line ALTER quantity SET NOT NULL")
        database.execute("ALTER TABLE booking_line ALTER quantity SET DEFAULT 1")
        return cls(Bookings(database, Bookings.mapping(folder, text)), service)

    @property
    def mapped(self) -> Mapped:
        return self.bookings.mapped

    def execute(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        return self.bookings.execute(statement, *values)

    def in_use(self) -> AbstractContextManager[None]:
        return in_use(self.bookings.shop.url)

    def capture(self) -> None:
        with self.in_use():
            self.bookings.capture()

    def owns(self, *, really: bool) -> None:
        """Be the side that owns, or the one that does not."""
        self.execute(OWNS, really)

    @property
    def source(self) -> str:
        return f"/waybill/{self.service}"

    def told(self) -> list[Message]:
        """What this side has appended since it was asked last, as it comes from the topic."""
        with self.in_use():
            self.bookings.drain()
        found = self.execute(SINCE, self.position)
        self.position = max([self.position, *(row[0] for row in found)])
        return [self.message(*row[1:]) for row in found]

    def message(self, event_id: str, key: str, version: int, kind: str, payload: bytes) -> Message:
        headers = {"ce_id": event_id, "ce_type": kind, "ce_sequence": str(version), "ce_source": self.source}
        value = codec.frame(SCHEMA_IDS[kind], bytes(payload))
        raw = tuple((name, text.encode()) for name, text in headers.items())
        topic = OrderPlaced.topic
        assert topic is not None
        return Message(topic, 0, next(self.offsets), key.encode(), raw, value, 0)

    def take(self, messages: Sequence[Message], handlers: Handlers | None = None) -> list[str]:
        """Handle messages as the consumer does; returns the reasons of the dead letters that there are then."""
        with self.in_use():
            self.handle(messages, handlers or self.handlers())
        return [reason for (reason,) in self.execute(DEAD_LETTERS)]

    def handle(self, messages: Sequence[Message], handlers: Handlers) -> None:
        """The same, on whatever database is in use."""
        schema_ids._writers.cache_clear()  # pyright: ignore[reportPrivateUsage] - it has those of the other database
        handling.process(handlers, messages, settings())

    def redrive(self) -> list[str | None]:
        """Handle the dead letters again; returns what each failed of."""
        schema_ids._writers.cache_clear()  # pyright: ignore[reportPrivateUsage] - it has those of the other database
        with self.in_use():
            return [one.failure for one in redrive.redrive(self.handlers(), settings())]

    def verified(self, other: "Side") -> list[verify.Difference]:
        """What the other side holds otherwise."""
        with self.in_use(), verify.connected(other.bookings.shop.url) as there:
            sides = verify.Sides(self.bookings.built(), "default", there)
            return verify.verify(sides, settle_seconds=0, told=lambda _done, _of: None).differences

    def handlers(self) -> Handlers:
        marked = ((event, Batched(applier)) for event, applier in appliers(self.mapped, self.service))
        return Handlers(self.service, tuple(marked))

    def rows(self, *, with_ids: bool = True) -> list[Any]:
        """All rows with their lines."""
        bookings = self.execute("SELECT id, state, total, erased_at IS NULL FROM booking ORDER BY id")
        lines = self.execute(LINES)
        return [bookings, lines if with_ids else [rest for _, *rest in lines]]

    def drained(self) -> appending.Done:
        """Append what is queued here."""
        with self.in_use():
            return self.bookings.drain()


Made = Callable[..., tuple[Side, Side]]


def matches(pattern: str, text: str) -> bool:
    """Tell whether the text has the pattern anywhere; a dot stands for a line's end too."""
    return re.search(pattern, text, re.DOTALL) is not None

"""Events for the console's read model, as they come from the topics; and the databases that it shows."""

import itertools
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import psycopg
import pytest

from console_service.read_model import noting
from console_service.read_model.fold import Note
from console_service.web import databases, diagnosis, usual
from payment_service.domain import RecordCharge, RequestPayment, ReturnPayment
from payment_service.service import service as payments
from schemas.events import (
    OrderCharged,
    OrderConfirmed,
    OrderReserved,
    PaymentCharged,
    StockCommitted,
    StockReserved,
)
from tests.support.databases import in_use
from tests.support.orders import LINES, cause, placed
from waybill.consumer.message import Message
from waybill.contracts.event import Event
from waybill.deciders.unit_of_work import Caused, handle
from waybill.observability.telemetry import new_id
from waybill.runtime.settings import _read

offsets = itertools.count()
SOURCES = {"order": "order_service", "reservation": "inventory_service", "payment": "payment_service"}


def message(event: Event, version: int, at: datetime, value: bytes = b"") -> Message:
    """The record of an event."""
    told = {
        "ce_id": new_id(),
        "ce_type": event.event_type,
        "ce_sequence": str(version),
        "ce_time": at.isoformat(),
        "ce_source": f"/waybill/{SOURCES.get(event.aggregate_type, 'notification_service')}",
        "ce_correlationid": "c-1",
    }
    headers = tuple((name, said.encode()) for name, said in told.items())
    return Message(event.topic or "", 0, next(offsets), str(event.aggregate_id).encode(), headers, value, 0)


def confirmed(order_id: UUID) -> list[tuple[Event, int]]:
    """Every event of an order that went well, with its version."""
    money = {"total": 3998, "currency": "EUR"}
    return [
        (placed(order_id), 1),
        (StockReserved(order_id=order_id, lines=()), 1),
        (OrderReserved(order_id=order_id, customer_id="ann", payment_method="tok_ok", **money), 2),
        (
            PaymentCharged(
                order_id=order_id,
                customer_id="ann",
                charge_id="ch_1",
                amount=3998,
                currency="EUR",
                provider="simulator",
            ),
            1,
        ),
        (OrderCharged(order_id=order_id, charge_id="ch_1", **money), 3),
        (OrderConfirmed(order_id=order_id, customer_id="ann", lines=LINES, **money), 4),
        (StockCommitted(order_id=order_id, lines=()), 2),
    ]


def notes_of(events: Sequence[tuple[Event, int]], since: datetime | None = None) -> list[Note]:
    """What is noted of them, a second apart."""
    begin = since or datetime.now(tz=UTC) - timedelta(seconds=len(events))
    return [
        Note.of(event, message(event, version, begin + timedelta(seconds=n)))
        for n, (event, version) in enumerate(events)
    ]


def note(events: Sequence[tuple[Event, int]], since: datetime | None = None) -> None:
    """Put them into the read model."""
    noting.note(notes_of(events, since))


def shows(monkeypatch: pytest.MonkeyPatch, urls: Mapping[str, str], *, doctor_seconds: float = 0) -> None:
    """Let the console show these databases, and ask so often what is wrong; 0: never, which no poll then differs by."""
    databases.close()
    diagnosis.of_console.cache_clear()
    usual.forget()
    monkeypatch.setenv("WAYBILL_CONSOLE_DOCTOR_SECONDS", str(doctor_seconds))
    monkeypatch.setenv("WAYBILL_OUTBOX_DATABASES", ",".join(f"{name}={url}" for name, url in urls.items()))
    _read.cache_clear()


def owed(service_url: str, owner_url: str) -> UUID:
    """Make a refund that needs attention in a payment service's database; returns the order's id."""
    order_id = uuid4()
    asked = RequestPayment(order_id=order_id, customer_id="ann", amount=3998, currency="EUR", payment_method="tok_ok")
    charged = RecordCharge(order_id=order_id, charge_id="ch_1", provider="simulator")
    with in_use(service_url):
        for command in (asked, charged, ReturnPayment(order_id=order_id)):
            handle(payments, [Caused(command, cause())])
    with psycopg.connect(owner_url, autocommit=True) as owner:
        # As the worker leaves it once the provider has refused for a day.
        owner.execute(
            "UPDATE waybill_due_task SET attention_since = now(), attempts = 9, last_error = 'the card is closed', "
            "way_out = 'pay it by hand', first_attempt_at = now() WHERE task = 'refund'"
        )
    return order_id

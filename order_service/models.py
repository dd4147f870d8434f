"""Orders, and the price list that new ones are priced from."""

from collections.abc import Iterator
from datetime import datetime
from typing import ClassVar

from django.db import models

from order_service.domain import Order, Price, Status
from schemas.events import OrderLine
from waybill.deciders.service import Rows
from waybill.models import AggregateRow, CopyRow


class OrderRow(AggregateRow):
    """One order."""

    aggregate_type: ClassVar = "order"
    open_statuses: ClassVar = (Status.PENDING, Status.RESERVED, Status.CANCELLING)
    end_statuses: ClassVar = (Status.CONFIRMED, Status.CANCELLED, Status.IMPORTED, Status.ERASED)
    unmeasured_statuses: ClassVar = (Status.IMPORTED, Status.ERASED)

    order_id = models.UUIDField(primary_key=True)
    status = models.TextField()
    customer_id = models.TextField()
    lines = models.JSONField()
    total = models.BigIntegerField()
    currency = models.TextField()
    payment_method = models.TextField()
    cancellation_reason = models.TextField(null=True)
    stock_closed = models.BooleanField()
    payment_closed = models.BooleanField()
    imported_status = models.TextField(null=True)
    source_version = models.IntegerField(db_default=0)

    class Meta:
        db_table = "orders"
        indexes: ClassVar = [
            models.Index(fields=["customer_id", "-order_id"], name="orders_of_customer"),
            # For lists by time: the ids of imported orders are in no sequence of it.
            models.Index(fields=["customer_id", "-created_at", "-order_id"], name="orders_of_customer_by_time"),
            models.Index(fields=["created_at"], name="orders_by_time"),
            models.Index(
                fields=["status"],
                # For the gauge `aggregate_open`, which counts open rows at each scrape.
                name="orders_open",
                condition=models.Q(status__in=["PENDING", "RESERVED", "CANCELLING"]),
            ),
        ]
        constraints: ClassVar = [
            models.CheckConstraint(name="orders_status", condition=models.Q(status__in=[s.value for s in Status])),
            models.CheckConstraint(name="orders_total", condition=models.Q(total__gte=0)),
        ]


class PriceRow(CopyRow):
    """One product's price, kept from the inventory's events."""

    sku = models.TextField(primary_key=True)
    unit_price = models.BigIntegerField(null=True)
    currency = models.TextField(null=True)

    class Meta:
        db_table = "prices"


def to_state(rows: Rows) -> Order:
    """Return the order that the one row, or its absence, says."""
    ((order_id, row),) = rows["order"].items()
    if row is None:
        return Order(order_id=order_id)
    return Order(
        order_id=row.order_id,
        status=Status(row.status),
        customer_id=row.customer_id,
        lines=tuple(OrderLine(**line) for line in row.lines),
        total=row.total,
        currency=row.currency,
        payment_method=row.payment_method,
        cancellation_reason=row.cancellation_reason,
        stock_closed=row.stock_closed,
        payment_closed=row.payment_closed,
        imported_status=row.imported_status,
        source_version=row.source_version,
    )


def to_rows(state: Order | Price) -> Iterator[OrderRow | PriceRow]:
    """Return the rows that hold the state."""
    if isinstance(state, Price):
        yield PriceRow(sku=state.sku, unit_price=state.unit_price, currency=state.currency)
        return
    yield OrderRow(
        order_id=state.order_id,
        status=state.status,
        customer_id=state.customer_id,
        lines=[line.to_avro() for line in state.lines],
        total=state.total,
        currency=state.currency,
        payment_method=state.payment_method,
        cancellation_reason=state.cancellation_reason,
        stock_closed=state.stock_closed,
        payment_closed=state.payment_closed,
        imported_status=state.imported_status,
        source_version=state.source_version,
        created_at=state.placed_at and datetime.fromisoformat(state.placed_at),
    )

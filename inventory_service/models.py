"""Products with their stock, and reservations."""

from collections.abc import Iterator
from typing import ClassVar

from django.db import models

from inventory_service.domain import Product, ProductStatus, Reservation, ReservationStatus, Stock
from schemas.events import StockLine
from waybill.deciders.service import Rows
from waybill.models import AggregateRow


class ProductRow(AggregateRow):
    """One product."""

    aggregate_type: ClassVar = "product"

    sku = models.TextField(primary_key=True)
    status = models.TextField()
    name = models.TextField()
    unit_price = models.BigIntegerField()
    currency = models.TextField()
    on_hand = models.BigIntegerField()
    reserved = models.BigIntegerField()
    for_sale = models.BooleanField(db_default=True)
    source_version = models.IntegerField(db_default=0)

    class Meta:
        db_table = "products"
        constraints: ClassVar = [
            models.CheckConstraint(
                name="products_status", condition=models.Q(status__in=[s.value for s in ProductStatus])
            ),
            models.CheckConstraint(
                name="products_never_oversold",
                condition=models.Q(reserved__gte=0) & models.Q(reserved__lte=models.F("on_hand")),
            ),
        ]


class ReservationRow(AggregateRow):
    """What is held for one order."""

    aggregate_type: ClassVar = "reservation"
    open_statuses: ClassVar = (ReservationStatus.RESERVED,)
    end_statuses: ClassVar = (ReservationStatus.REJECTED, ReservationStatus.COMMITTED, ReservationStatus.RELEASED)

    order_id = models.UUIDField(primary_key=True)
    status = models.TextField()
    lines = models.JSONField()

    class Meta:
        db_table = "reservations"
        indexes: ClassVar = [
            models.Index(fields=["created_at"], name="reservations_by_time"),
            # For the gauge `aggregate_open`, which counts open rows at each scrape.
            models.Index(fields=["status"], name="reservations_open", condition=models.Q(status__in=["RESERVED"])),
        ]
        constraints: ClassVar = [
            models.CheckConstraint(
                name="reservations_status", condition=models.Q(status__in=[s.value for s in ReservationStatus])
            ),
        ]


def to_state(rows: Rows) -> Stock:
    """Return the reservation, where one is asked for, and the products."""
    reservation = None
    for order_id, row in rows.get("reservation", {}).items():
        reservation = Reservation(order_id=order_id) if row is None else _reservation(row)
    products = {sku: Product(sku=sku) if row is None else _product(row) for sku, row in rows["product"].items()}
    return Stock(reservation=reservation, products=products)


def to_rows(state: Stock) -> Iterator[ProductRow | ReservationRow]:
    """Return the rows that hold the state; a product that was never listed has none."""
    if state.reservation is not None:
        yield ReservationRow(
            order_id=state.reservation.order_id,
            status=state.reservation.status,
            lines=[line.to_avro() for line in state.reservation.lines],
        )
    for product in state.products.values():
        if product.status is not ProductStatus.NONE:
            yield ProductRow(
                sku=product.sku,
                status=product.status,
                name=product.name,
                unit_price=product.unit_price,
                currency=product.currency,
                on_hand=product.on_hand,
                reserved=product.reserved,
                for_sale=product.for_sale,
                source_version=product.source_version,
            )


def _reservation(row: ReservationRow) -> Reservation:
    lines = tuple(StockLine(**line) for line in row.lines)
    return Reservation(order_id=row.order_id, status=ReservationStatus(row.status), lines=lines)


def _product(row: ProductRow) -> Product:
    return Product(
        sku=row.sku,
        status=ProductStatus(row.status),
        name=row.name,
        unit_price=row.unit_price,
        currency=row.currency,
        on_hand=row.on_hand,
        reserved=row.reserved,
        for_sale=row.for_sale,
        source_version=row.source_version,
    )

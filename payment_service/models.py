"""Payments."""

from collections.abc import Iterator
from typing import ClassVar

from django.db import models

from payment_service.domain import Payment, Status
from waybill.deciders.service import Rows
from waybill.models import AggregateRow


class PaymentRow(AggregateRow):
    """One order's payment."""

    aggregate_type: ClassVar = "payment"
    open_statuses: ClassVar = (Status.REQUESTED, Status.VOIDING, Status.REFUNDING)
    end_statuses: ClassVar = (Status.CHARGED, Status.DECLINED, Status.VOIDED, Status.REFUNDED)

    order_id = models.UUIDField(primary_key=True)
    status = models.TextField()
    customer_id = models.TextField()
    amount = models.BigIntegerField()
    currency = models.TextField()
    payment_method = models.TextField()
    charge_id = models.TextField(null=True)
    provider = models.TextField(null=True)  # of what was charged before version 2 of PaymentCharged, nobody knows
    refund_id = models.TextField(null=True)
    settled_by = models.TextField(null=True)
    decline_code = models.TextField(null=True)

    class Meta:
        db_table = "payments"
        indexes: ClassVar = [
            models.Index(fields=["customer_id", "-order_id"], name="payments_of_customer"),
            models.Index(fields=["created_at"], name="payments_by_time"),
            models.Index(
                fields=["status"],
                # For the gauge `aggregate_open`, which counts open rows at each scrape.
                name="payments_open",
                condition=models.Q(status__in=["REQUESTED", "VOIDING", "REFUNDING"]),
            ),
        ]
        constraints: ClassVar = [
            models.CheckConstraint(name="payments_status", condition=models.Q(status__in=[s.value for s in Status])),
            models.CheckConstraint(name="payments_amount", condition=models.Q(amount__gte=0)),
        ]


def to_state(rows: Rows) -> Payment:
    """Return the payment that the one row, or its absence, says."""
    ((order_id, row),) = rows["payment"].items()
    if row is None:
        return Payment(order_id=order_id)
    return Payment(
        order_id=row.order_id,
        status=Status(row.status),
        customer_id=row.customer_id,
        amount=row.amount,
        currency=row.currency,
        payment_method=row.payment_method,
        charge_id=row.charge_id,
        provider=row.provider,
        refund_id=row.refund_id,
        settled_by=row.settled_by,
        decline_code=row.decline_code,
    )


def to_rows(state: Payment) -> Iterator[PaymentRow]:
    """Return the row that holds the state."""
    yield PaymentRow(
        order_id=state.order_id,
        status=state.status,
        customer_id=state.customer_id,
        amount=state.amount,
        currency=state.currency,
        payment_method=state.payment_method,
        charge_id=state.charge_id,
        provider=state.provider,
        refund_id=state.refund_id,
        settled_by=state.settled_by,
        decline_code=state.decline_code,
    )

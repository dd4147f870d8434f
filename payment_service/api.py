"""Read payments. A customer sees their own; the scope `operations` sees all."""

from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from ninja import Query, Router, Schema
from pydantic import ConfigDict

from payment_service.models import PaymentRow
from waybill.rest import lists
from waybill.rest.auth import caller_of
from waybill.rest.collections import Collection, bearer, reads
from waybill.rest.collections.asked import EQUAL, ORDERED
from waybill.rest.lists import CreatedAfter, CreatedBefore, Cursor, Limit, listed, several
from waybill.tasks import deadlines

router = Router(tags=["payments"])
Status = Literal["REQUESTED", "CHARGED", "DECLINED", "VOIDING", "VOIDED", "REFUNDING", "REFUNDED"]


class PaymentOut(Schema):
    """An order's payment. The amount is in minor units of the currency.

    `provider`: which one has the charge. `settled_by`: how an operator settled the refund, `paid_elsewhere` or
    `written_off`; null where the provider paid it. `needs_attention`: only an operator can move it on; it is tried on
    all the same.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "order_id": "01a1fdef-cb60-72cc-9cdd-70bd5c187fc1",
                    "status": "CHARGED",
                    "amount": 9800,
                    "currency": "EUR",
                    "charge_id": "ch_1",
                    "provider": "simulated",
                    "refund_id": None,
                    "settled_by": None,
                    "decline_code": None,
                    "needs_attention": False,
                    "version": 2,
                    "created_at": "2026-11-21T11:48:33.310Z",
                    "updated_at": "2026-11-21T11:48:33.402Z",
                }
            ]
        }
    )

    order_id: UUID
    status: Status
    amount: int
    currency: str
    charge_id: str | None
    provider: str | None
    refund_id: str | None
    settled_by: Literal["paid_elsewhere", "written_off"] | None
    decline_code: str | None
    needs_attention: bool
    version: int
    created_at: datetime
    updated_at: datetime


class PaymentsOut(Schema):
    """A page of payments, and the links to its neighbours."""

    items: list[PaymentOut]
    next: str | None
    prev: str | None


@router.get("/payments", response=PaymentsOut)
@listed
def list_payments(
    request: HttpRequest,
    order_id: Annotated[list[UUID], several("Only these orders' payments.")] = [],  # noqa: B006 - pydantic copies it
    status: Annotated[list[Status], several("Only payments that stand so.")] = [],  # noqa: B006
    created_after: CreatedAfter = None,
    created_before: CreatedBefore = None,
    sort: Annotated[
        Literal["-order_id", "order_id"], Query(description="By order, the newest first or the oldest.")
    ] = "-order_id",
    limit: Limit = 20,
    cursor: Cursor = None,
) -> HttpResponse:
    """List payments, newest order first; a customer sees their own."""
    rows = lists.created(_visible(request), created_after, created_before)
    if order_id:
        rows = rows.filter(order_id__in=order_id)
    if status:
        rows = rows.filter(status__in=status)
    found = lists.page(request, rows, sort, limit, cursor)
    marked = deadlines.marked("payment", [str(row.order_id) for row in found.rows])
    return found.answer([_view(row, needs_attention=str(row.order_id) in marked) for row in found.rows])


class Payments(Collection):
    """A customer's own payments; everybody's for operations."""

    filters: ClassVar = {"order_id": ORDERED, "customer_id": EQUAL, "status": EQUAL, "created_at": ORDERED}
    sorts: ClassVar = ("created_at",)

    def rows(self, request: HttpRequest) -> Any:
        """Return the payments that the caller may see."""
        return _visible(request)


payments = Payments(
    PaymentRow,
    "payments",
    may=bearer(),
    fields=(
        *("order_id", "status", "customer_id", "amount", "currency", "charge_id", "provider", "refund_id"),
        *("settled_by", "decline_code", "created_at", "updated_at"),
    ),
)
router.add_router("/collections", reads(payments))


def _visible(request: HttpRequest) -> Any:
    caller = caller_of(request)
    rows = PaymentRow.objects.all()
    return rows if caller.may("operations") else rows.filter(customer_id=caller.subject)


def _view(row: PaymentRow, *, needs_attention: bool) -> dict[str, Any]:
    return {
        "order_id": row.order_id,
        "status": row.status,
        "amount": row.amount,
        "currency": row.currency,
        "charge_id": row.charge_id,
        "provider": row.provider,
        "refund_id": row.refund_id,
        "settled_by": row.settled_by,
        "decline_code": row.decline_code,
        "needs_attention": needs_attention,
        "version": row.version,
        "created_at": row.created_at,
        "updated_at": row.updated_at,
    }

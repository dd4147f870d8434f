"""Read payments. A customer sees their own; the scope `operations` sees all."""

from typing import Annotated, Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from ninja import Query, Router

from payment_service.models import PaymentRow
from waybill.rest import http
from waybill.rest.auth import caller_of
from waybill.tasks import deadlines

router = Router(tags=["payments"])


class PaymentOut(http.Schema):
    """An order's payment. The amount is in minor units of the currency.

    `provider`: which one has the charge. `settled_by`: how an operator settled the refund, `paid_elsewhere` or
    `written_off`; null where the provider paid it. `needs_attention`: only an operator can move it on; it is tried on
    all the same.
    """

    order_id: UUID
    status: str
    amount: int
    currency: str
    charge_id: str | None
    provider: str | None
    refund_id: str | None
    settled_by: str | None
    decline_code: str | None
    needs_attention: bool
    version: int
    created_at: str
    updated_at: str


class PaymentsOut(http.Schema):
    """A page of payments, newest order first, and the link to the next."""

    items: list[PaymentOut]
    next: str | None


@router.get("/payments", response=PaymentsOut)
def list_payments(
    request: HttpRequest,
    order_id: Annotated[UUID | None, Query()] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    cursor: Annotated[str | None, Query()] = None,
) -> HttpResponse:
    """List payments, of one order where `order_id` is given."""
    caller = caller_of(request)
    rows = PaymentRow.objects.all()
    if not caller.may("operations"):
        rows = rows.filter(customer_id=caller.subject)
    if order_id is not None:
        rows = rows.filter(order_id=order_id)
    found, following = http.page(request, rows, "-order_id", limit, cursor)
    marked = deadlines.marked("payment", [str(row.order_id) for row in found])
    items = [_view(row, needs_attention=str(row.order_id) in marked) for row in found]
    return http.answer(200, {"items": items, "next": following})


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

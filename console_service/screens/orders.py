"""Orders: every order with its step, its age in the step, and why it waits."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from django.db.models import Q, QuerySet
from django.http import HttpRequest

from console_service.models import OPEN, OrderRow
from console_service.web import paging
from console_service.web.page import page
from console_service.web.saga import waiting_of
from console_service.web.usual import late, usual_times

STEPS: Final = ("PENDING", "RESERVED", "CHARGED", "CONFIRMED", "CANCELLING", "CANCELLED", "IMPORTED", "ERASED")
ENDED: Final = frozenset({"CONFIRMED", "CANCELLED", "IMPORTED", "ERASED"})


@page("console/orders.html", "Orders")
def show(request: HttpRequest) -> Mapping[str, Any]:
    """List the newest first; those that wait, longest first."""
    given = request.GET
    waits = any(given.get(one) for one in ("open", "older", "late"))
    found = _filtered(given)
    if given.get("late"):
        found = found.filter(late(usual_times(request), datetime.now(tz=UTC)))
    found = _longest_first(request, found) if waits else _newest_first(request, found)
    key = (lambda row: (row.step_since.isoformat(), row.order_id)) if waits else _placed
    rows = paging.rows(request, list(found[: paging.ROWS + 1]), key)
    waiting = waiting_of(request, [str(row.order_id) for row in rows.rows if row.status not in ENDED])
    return {
        "rows": rows,
        "orders": [(row, waiting.get(str(row.order_id))) for row in rows.rows],
        "steps": STEPS,
        "given": given,
        "polled": paging.AFTER not in given,
    }


def _filtered(given: Mapping[str, Any]) -> "QuerySet[OrderRow]":
    found = OrderRow.objects.filter(placed_at__isnull=False)
    if any(given.get(one) for one in ("open", "older", "late")):
        found = OrderRow.objects.filter(OPEN)
    if (seconds := str(given.get("older", ""))).isdecimal():
        found = found.filter(step_since__lt=datetime.now(tz=UTC) - timedelta(seconds=min(int(seconds), 10**9)))
    if (step := given.get("step")) in STEPS:
        found = found.filter(status=step)
    if customer := given.get("customer", "").strip():
        found = found.filter(customer_id=customer)
    if order := given.get("order", "").strip():
        order_id = _uuid(order)
        found = found.filter(order_id=order_id) if order_id else found.none()
    return found


def _longest_first(request: HttpRequest, found: "QuerySet[OrderRow]") -> "QuerySet[OrderRow]":
    cursor = _cursor(request)
    if cursor:
        at, order_id = cursor
        found = found.filter(step_since__gte=at).filter(Q(step_since__gt=at) | Q(order_id__gt=order_id))
    return found.order_by("step_since", "order_id")


def _newest_first(request: HttpRequest, found: "QuerySet[OrderRow]") -> "QuerySet[OrderRow]":
    cursor = _cursor(request)
    if cursor:
        at, order_id = cursor
        found = found.filter(placed_at__lte=at).filter(Q(placed_at__lt=at) | Q(order_id__lt=order_id))
    return found.order_by("-placed_at", "-order_id")


def _placed(row: OrderRow) -> tuple[str, Any]:
    return row.placed_at.isoformat(), row.order_id


def _cursor(request: HttpRequest) -> tuple[datetime, UUID] | None:
    match paging.after(request):
        case [str(at), str(order_id)]:
            try:
                return datetime.fromisoformat(at), UUID(order_id)
            except ValueError:
                return None
        case _:
            return None


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None

"""One order: its whole story over all services, and what is still to come."""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from django.http import Http404, HttpRequest

from console_service.models import EventRow, OrderRow
from console_service.read_model.drawing import sequence, timeline
from console_service.web.databases import ask
from console_service.web.page import page
from console_service.web.saga import story_of
from console_service.web.usual import usual_times
from outbox_relay.operations.attention import read_attention
from outbox_relay.operations.dead_letters import of_key

MOST: Final = 500  # events of one order: there are a dozen
MAILS: Final = ("NotificationSent", "NotificationFailed")
CALLS: Final = ("PaymentCharged", "PaymentDeclined", "PaymentVoided", "PaymentRefunded")


@page("console/order.html", "Order")
def show(request: HttpRequest, order_id: UUID) -> Mapping[str, Any]:
    """Show what happened to it, what it waits for, and what of it is stuck anywhere."""
    order = OrderRow.objects.filter(pk=order_id).first()
    if order is None:
        raise Http404(f"no event of order {order_id} was read; one placed this second comes in a moment")
    events = list(EventRow.objects.filter(order_id=order_id).order_by("recorded_at", "event_id")[:MOST])
    key = str(order_id)
    letters = ask(request, lambda name, open_: of_key.read(name, open_, key))
    marked = ask(request, read_attention)
    told = story_of(request, key)
    return {
        "title": f"Order {order_id}",
        "parent": "orders",
        "order": order,
        "waits": bool(told and not told.ended),
        "usual": usual_times(request).says(order.status) if told and not told.ended else "",
        "why": told.why if told else (),
        "remaining": told.remaining if told else (),
        "due": told.due if told else (),
        "followers": told.followers if told else (),
        "events": events,
        "mails": _of(events, MAILS),
        "calls": _of(events, CALLS),
        "letters": [one for found in letters.values() for one in found],
        "marked": [one for found in marked.values() for one in found if one.aggregate.endswith(key)],
        "correlation_ids": sorted({event.correlation_id for event in events if event.correlation_id}),
        "timeline": timeline(events),
        "sequence": sequence(events),
    }


def _of(events: Sequence[EventRow], types: Sequence[str]) -> list[EventRow]:
    return [event for event in events if event.event_type in types]

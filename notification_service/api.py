"""Read notifications, keep one's own contact address and webhooks."""

from typing import Annotated, Any
from uuid import UUID

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.http import HttpRequest, HttpResponse
from ninja import Query, Router
from pydantic import AfterValidator, Field

from notification_service import webhooks
from notification_service.address import ascii_form
from notification_service.models import ContactRow, NotificationRow
from waybill.deciders.outcomes import Code
from waybill.rest import http
from waybill.rest.auth import caller_of
from waybill.rest.problem import Problem

router = Router(tags=["notifications"])
router.add_router("", webhooks.router)


def _mail_address(given: str) -> str:
    try:
        validate_email(given)
    except ValidationError:
        raise ValueError("not a mail address") from None
    ascii_form(given)
    return given


class ContactIn(http.Body):
    """Where the caller wants to be reached."""

    email: Annotated[str, Field(max_length=254), AfterValidator(_mail_address)]


class ContactOut(http.Schema):
    """Where the caller is reached."""

    email: str


class NotificationOut(http.Schema):
    """One kind of news on one order, and what became of it."""

    order_id: UUID
    kind: str
    channel: str
    status: str
    code: str | None


class NotificationsOut(http.Schema):
    """A page of notifications, newest order first, and the link to the next."""

    items: list[NotificationOut]
    next: str | None


@router.get("/notifications", response=NotificationsOut)
def list_notifications(
    request: HttpRequest,
    order_id: Annotated[UUID | None, Query()] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    cursor: Annotated[str | None, Query()] = None,
) -> HttpResponse:
    """List notifications, of one order where `order_id` is given; `limit` counts orders."""
    caller = caller_of(request)
    rows = NotificationRow.objects.all()
    if not caller.may("operations"):
        rows = rows.filter(customer_id=caller.subject)
    if order_id is not None:
        rows = rows.filter(order_id=order_id)
    found, following = http.page(request, rows, "-order_id", limit, cursor)
    return http.answer(200, {"items": [view for row in found for view in _views(row)], "next": following})


@router.put("/contacts/me", response={200: ContactOut})
def keep_contact(request: HttpRequest, contact: ContactIn) -> HttpResponse:
    """Say where the caller wants to be reached."""
    ContactRow.objects.update_or_create(customer_id=caller_of(request).subject, defaults={"email": contact.email})
    return http.answer(200, {"email": contact.email})


@router.get("/contacts/me", response=ContactOut)
def read_contact(request: HttpRequest) -> HttpResponse:
    """Read where the caller is reached."""
    row = ContactRow.objects.filter(customer_id=caller_of(request).subject).first()
    if row is None:
        raise Problem(404, Code.NOT_FOUND, "no contact is kept; PUT one")
    return http.answer(200, {"email": row.email})


def _views(row: NotificationRow) -> list[dict[str, Any]]:
    return [
        {
            "order_id": row.order_id,
            "kind": kind,
            "channel": notice["channel"],
            "status": notice["status"],
            "code": notice["code"],
        }
        for kind, notice in row.notices.items()
    ]

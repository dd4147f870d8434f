"""Read notifications, keep one's own contact address and webhooks."""

import hashlib
from typing import Annotated, Any, ClassVar, Literal
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from ninja import Query, Router, Schema
from pydantic import AfterValidator, ConfigDict, Field

from notification_service import webhooks
from notification_service.address import ascii_form
from notification_service.models import ContactRow, NotificationRow
from waybill.deciders.outcomes import Code
from waybill.rest import conditions, http, lists
from waybill.rest.answers import answer
from waybill.rest.auth import caller_of
from waybill.rest.collections import Collection, bearer, reads
from waybill.rest.collections.asked import EQUAL, ORDERED
from waybill.rest.conditions import conditional
from waybill.rest.lists import CreatedAfter, CreatedBefore, Cursor, Limit, listed, several
from waybill.rest.openapi.operations import raises, sends, tagged
from waybill.rest.problem import Problem

router = Router(tags=["notifications"])
router.add_router("", webhooks.router)


def _mail_address(given: str) -> str:
    ascii_form(given)
    return given


class ContactIn(http.Body):
    """Where the caller wants to be reached."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"email": "ann@example.com"}]})

    email: Annotated[str, Field(max_length=254), AfterValidator(_mail_address)]


class ContactOut(Schema):
    """Where the caller is reached."""

    email: str


class NotificationOut(Schema):
    """One kind of news on one order, and what became of it."""

    order_id: UUID
    kind: Literal["ORDER_CONFIRMED", "ORDER_CANCELLED", "PAYMENT_REFUNDED"]
    channel: Literal["EMAIL"]
    status: Literal["PENDING", "SENT", "FAILED"]
    code: str | None


class NotificationsOut(Schema):
    """A page of notifications, and the links to its neighbours."""

    items: list[NotificationOut]
    next: str | None
    prev: str | None


@router.get("/notifications", response=NotificationsOut)
@listed
def list_notifications(
    request: HttpRequest,
    order_id: Annotated[list[UUID], several("Only news on these orders.")] = [],  # noqa: B006 - pydantic copies it
    created_after: CreatedAfter = None,
    created_before: CreatedBefore = None,
    sort: Annotated[
        Literal["-order_id", "order_id"], Query(description="By order, the newest first or the oldest.")
    ] = "-order_id",
    limit: Limit = 20,
    cursor: Cursor = None,
) -> HttpResponse:
    """List notifications, newest order first; `limit` counts orders, times are those of the first news."""
    rows = lists.created(_visible(request), created_after, created_before)
    if order_id:
        rows = rows.filter(order_id__in=order_id)
    found = lists.page(request, rows, sort, limit, cursor)
    return found.answer([view for row in found.rows for view in _views(row)])


@router.put("/contacts/me", response={200: ContactOut, 201: ContactOut})
@conditional
@sends("Location")
def keep_contact(request: HttpRequest, contact: ContactIn) -> HttpResponse:
    """Say where the caller wants to be reached; 201 the first time."""
    customer = caller_of(request).subject

    def keep() -> bool:
        return ContactRow.objects.update_or_create(customer_id=customer, defaults={"email": contact.email})[1]

    created = conditions.when(request, lambda: _locked_tag(customer), keep)
    place = {"location": "/v1/contacts/me"}
    return answer(201 if created else 200, {"email": contact.email}, version=_tag(contact.email), **place)


@router.get("/contacts/me", response=ContactOut)
@raises(Code.NOT_FOUND)
@tagged
def read_contact(request: HttpRequest) -> HttpResponse:
    """Read where the caller is reached."""
    row = ContactRow.objects.filter(customer_id=caller_of(request).subject).first()
    if row is None:
        raise Problem(404, Code.NOT_FOUND, "no contact is kept; PUT one")
    tag = _tag(row.email)
    return conditions.unchanged(request, tag) or answer(200, {"email": row.email}, version=tag)


class Notifications(Collection):
    """What a customer was told; for operations what everybody was."""

    filters: ClassVar = {"order_id": ORDERED, "customer_id": EQUAL, "created_at": ORDERED}
    sorts: ClassVar = ("created_at",)

    def rows(self, request: HttpRequest) -> Any:
        """Return the notifications that the caller may see."""
        return _visible(request)


notifications = Notifications(
    NotificationRow,
    "notifications",
    may=bearer(),
    fields=("order_id", "customer_id", "notices", "created_at", "updated_at"),
)
router.add_router("/collections", reads(notifications))


def _visible(request: HttpRequest) -> Any:
    caller = caller_of(request)
    rows = NotificationRow.objects.all()
    return rows if caller.may("operations") else rows.filter(customer_id=caller.subject)


def _locked_tag(customer: str) -> str | None:
    row = ContactRow.objects.select_for_update().filter(customer_id=customer).first()
    return row and _tag(row.email)


def _tag(email: str) -> str:
    return hashlib.sha256(email.encode()).hexdigest()[:16]


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

"""Register and keep one's own webhooks, and see what became of their deliveries. A customer sees no others."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from ninja import Path, Query, Router, Schema
from pydantic import Field

from notification_service import receiver
from notification_service.domain import (
    DeleteWebhook,
    DisableWebhook,
    EnableWebhook,
    Kind,
    NotificationCode,
    Redeliver,
    RegisterWebhook,
    Subscriber,
    SubscribeWebhook,
    Webhook,
    WebhookCommands,
)
from notification_service.models import DeliveryRow, SubscriberRow, WebhookTargetRow, to_state
from notification_service.service import service
from notification_service.settings import NotificationSettings
from waybill.database import rows
from waybill.deciders.outcomes import Code
from waybill.deciders.service import Command
from waybill.deciders.unit_of_work import Caused, handle, retried
from waybill.observability.telemetry import new_id
from waybill.rest import http, lists
from waybill.rest.answers import answer, nothing
from waybill.rest.auth import caller_of
from waybill.rest.idempotency import idempotent
from waybill.rest.lists import Cursor, Limit, listed
from waybill.rest.openapi.operations import leads_to, raises, sends
from waybill.rest.problem import Problem, not_valid
from waybill.runtime.settings import read
from waybill.tasks import deadlines
from waybill.tasks.deadlines import Waiting

router = Router(tags=["webhooks"])
Type = Literal["order.confirmed", "order.cancelled", "payment.refunded"]
KINDS = {name: kind for kind, name in receiver.TYPES.items()}
WebhookId = Annotated[UUID, Path(description="The webhook's id.")]
DeliveryId = Annotated[UUID, Path(description="The delivery's id.")]
UNTRIED = Waiting(0, None, None)
BY_ID = {"webhook_id": "$response.body#/id"}


class WebhookIn(http.Body):
    """Where to tell the caller's program, and of what; without `types`, of everything there is now."""

    url: Annotated[str, Field(max_length=receiver.LONGEST_URL)]
    types: Annotated[list[Type], Field(min_length=1, max_length=len(KINDS))] | None = None


class WebhookChangeIn(http.Body):
    """What to change; what is left out stays."""

    url: Annotated[str, Field(max_length=receiver.LONGEST_URL)] | None = None
    types: Annotated[list[Type], Field(min_length=1, max_length=len(KINDS))] | None = None
    enabled: bool | None = None


class WebhookOut(Schema):
    """A webhook. `disabled_by`: `customer`, `gone` (its receiver answered 410) or `failing`; null while enabled."""

    id: UUID
    url: str
    types: list[Type]
    status: Literal["ENABLED", "DISABLED"]
    disabled_by: Literal["customer", "gone", "failing"] | None
    created_at: datetime
    previous_secret_valid_until: datetime | None


class WebhookWithSecretOut(WebhookOut):
    """A webhook with its new secret, which is shown in this answer and never again."""

    secret: str


class WebhooksOut(Schema):
    """The caller's webhooks, first registered first."""

    items: list[WebhookOut]


class DeliveryOut(Schema):
    """One message and what became of it.

    `code`: what the last try met, `http_` with the status of the answer or one of `timed_out`, `not_connected`,
    `connection_broken`, `tls_failed`, `address_not_public`; of a delivery that was never tried, why.
    """

    id: UUID
    message_id: str
    type: Type
    order_id: UUID
    status: Literal["PENDING", "DELIVERED", "FAILED"]
    code: str | None
    failed_tries: int
    next_try_at: datetime | None
    requested_at: datetime
    updated_at: datetime


class DeliveriesOut(Schema):
    """A page of deliveries, newest order first, and the links to its neighbours."""

    items: list[DeliveryOut]
    next: str | None
    prev: str | None


@router.post("/webhooks", response={201: WebhookWithSecretOut})
@leads_to(read_webhook=BY_ID, rotate_secret=BY_ID, list_deliveries=BY_ID)
@raises(NotificationCode.URL_REFUSED, NotificationCode.TOO_MANY_WEBHOOKS)
@sends("Location")
@idempotent
def register_webhook(request: HttpRequest, webhook: WebhookIn) -> HttpResponse:
    """Register a webhook; its secret stands in this answer and in no other."""
    _check(webhook.url)
    subject, webhook_id, secret = caller_of(request).subject, UUID(new_id()), receiver.new_secret()
    command = RegisterWebhook(
        customer_id=subject,
        webhook_id=webhook_id,
        kinds=_kinds(webhook.types),
        limit=read(NotificationSettings).webhook_limit,
    )
    _handle(request, command)
    WebhookTargetRow.objects.create(webhook_id=webhook_id, customer_id=subject, url=webhook.url, secret=secret)
    location = f"/v1/webhooks/{webhook_id}"
    view = _view_of(request, webhook_id)
    return answer(201, {**view, "secret": secret}, location=location)


@router.get("/webhooks", response=WebhooksOut)
def list_webhooks(request: HttpRequest) -> HttpResponse:
    """List the caller's webhooks."""
    subscriber = _subscriber(request)
    targets = WebhookTargetRow.objects.filter(customer_id=subscriber.customer_id).order_by("webhook_id")
    known = [target for target in targets if target.webhook_id in subscriber.webhooks]
    return answer(200, {"items": [_view(target, subscriber.webhooks[target.webhook_id]) for target in known]})


@router.get("/webhooks/{webhook_id}", response=WebhookOut)
@raises(Code.NOT_FOUND)
def read_webhook(request: HttpRequest, webhook_id: WebhookId) -> HttpResponse:
    """Read one of the caller's webhooks."""
    return answer(200, _view_of(request, webhook_id))


@router.patch("/webhooks/{webhook_id}", response=WebhookOut)
@raises(Code.NOT_FOUND, NotificationCode.URL_REFUSED)
def change_webhook(request: HttpRequest, webhook_id: WebhookId, change: WebhookChangeIn) -> HttpResponse:
    """Change URL or types, disable or enable; what is under way goes to the new URL."""
    target = _find(request, webhook_id)
    if change.url is not None:
        _check(change.url)
    _apply(request, target, change)
    return answer(200, _view_of(request, webhook_id))


@router.delete("/webhooks/{webhook_id}", response={204: None})
@raises(Code.NOT_FOUND)
def delete_webhook(request: HttpRequest, webhook_id: WebhookId) -> HttpResponse:
    """Delete a webhook with its secrets; what is under way is not delivered any more."""
    _delete(request, _find(request, webhook_id))
    return nothing()


@router.post("/webhooks/{webhook_id}/rotate-secret", response=WebhookWithSecretOut)
@raises(Code.NOT_FOUND)
@idempotent
def rotate_secret(request: HttpRequest, webhook_id: WebhookId) -> HttpResponse:
    """Give the webhook a new secret; messages are signed with the former one too, for a while."""
    target = _find(request, webhook_id, lock=True)
    target.previous_secret, target.secret = target.secret, receiver.new_secret()
    target.previous_valid_until = timezone.now() + read(NotificationSettings).webhook_secret_overlap
    target.save()
    view = _view_of(request, webhook_id)
    return answer(200, {**view, "secret": target.secret})


@router.get("/webhooks/{webhook_id}/deliveries", response=DeliveriesOut)
@raises(Code.NOT_FOUND)
@listed
def list_deliveries(
    request: HttpRequest,
    webhook_id: WebhookId,
    status: Annotated[
        Literal["PENDING", "DELIVERED", "FAILED"] | None, Query(description="Only deliveries that stand so.")
    ] = None,
    limit: Limit = 20,
    cursor: Cursor = None,
) -> HttpResponse:
    """List what was, is or will be delivered to a webhook, newest order first."""
    _find(request, webhook_id)
    deliveries = DeliveryRow.objects.filter(webhook_id=webhook_id)
    if status:
        deliveries = deliveries.filter(status=status)
    found = lists.page(request, deliveries, "-delivery_id", limit, cursor)
    return found.answer(_deliveries(found.rows))


@router.post("/webhooks/{webhook_id}/deliveries/{delivery_id}/redeliver", response={202: DeliveryOut})
@raises(Code.NOT_FOUND, NotificationCode.WEBHOOK_DISABLED)
@idempotent
def redeliver(request: HttpRequest, webhook_id: WebhookId, delivery_id: DeliveryId) -> HttpResponse:
    """Deliver a message again, under the same webhook-id; one that is under way goes on."""
    target = _find(request, webhook_id)
    if not DeliveryRow.objects.filter(pk=delivery_id, webhook_id=webhook_id).exists():
        raise Problem(404, Code.NOT_FOUND, f"there is no delivery {delivery_id} of webhook {webhook_id}")
    command = Redeliver(customer_id=target.customer_id, webhook_id=webhook_id, delivery_id=delivery_id)
    _handle(request, command)
    (view,) = _deliveries([DeliveryRow.objects.get(pk=delivery_id)])
    return answer(202, view)


@retried
def _apply(request: HttpRequest, target: WebhookTargetRow, change: WebhookChangeIn) -> None:
    named = {"customer_id": target.customer_id, "webhook_id": target.webhook_id}
    commands: list[WebhookCommands] = []
    if change.types is not None:
        commands.append(SubscribeWebhook(**named, kinds=_kinds(change.types)))
    if change.enabled is not None:
        commands.append((EnableWebhook if change.enabled else DisableWebhook)(**named))
    with transaction.atomic():
        _handle(request, *commands)
        if change.url is not None:
            WebhookTargetRow.objects.filter(pk=target.webhook_id).update(url=change.url)


@retried
def _delete(request: HttpRequest, target: WebhookTargetRow) -> None:
    with transaction.atomic():
        _handle(request, DeleteWebhook(customer_id=target.customer_id, webhook_id=target.webhook_id))
        WebhookTargetRow.objects.filter(pk=target.webhook_id).delete()


def _handle(request: HttpRequest, *commands: Command) -> None:
    handle(service, [Caused(command, http.cause(request)) for command in commands])


def _check(url: str) -> None:
    try:
        receiver.check(url)
    except receiver.UrlRefused as error:
        raise not_valid("url", str(error), NotificationCode.URL_REFUSED) from None


def _kinds(types: Sequence[Type] | None) -> tuple[Kind, ...]:
    return tuple(kind for name, kind in KINDS.items() if types is None or name in types)


def _find(request: HttpRequest, webhook_id: UUID, *, lock: bool = False) -> WebhookTargetRow:
    found = WebhookTargetRow.objects.select_for_update() if lock else WebhookTargetRow.objects.all()
    target = found.filter(pk=webhook_id, customer_id=caller_of(request).subject).first()
    if target is None:
        raise Problem(404, Code.NOT_FOUND, f"there is no webhook {webhook_id}")
    return target


def _subscriber(request: HttpRequest) -> Subscriber:
    subject = caller_of(request).subject
    found = {subject: None, **{row.pk: row for row in rows.load(SubscriberRow, [subject], lock=False)}}
    subscriber = to_state({"subscriber": found}).subscriber
    assert subscriber is not None
    return subscriber


def _view_of(request: HttpRequest, webhook_id: UUID) -> dict[str, Any]:
    return _view(_find(request, webhook_id), _subscriber(request).webhooks[webhook_id])


def _view(target: WebhookTargetRow, webhook: Webhook) -> dict[str, Any]:
    valid_until = target.previous_valid_until
    return {
        "id": target.webhook_id,
        "url": target.url,
        "types": [receiver.TYPES[kind] for kind in webhook.kinds],
        "status": webhook.status,
        "disabled_by": webhook.disabled_by,
        "created_at": target.created_at,
        "previous_secret_valid_until": valid_until if valid_until and valid_until > timezone.now() else None,
    }


def _deliveries(found: Sequence[DeliveryRow]) -> list[dict[str, Any]]:
    """Return the views; what a row waits for is told by its due row, and an error of ours by nothing."""
    waiting = deadlines.waiting("deliver", "delivery", [str(row.pk) for row in found])
    views: list[dict[str, Any]] = []
    for row in found:
        tried = waiting.get(str(row.pk), UNTRIED)
        views.append(
            {
                "id": row.delivery_id,
                "message_id": receiver.message_id_of(row),
                "type": receiver.TYPES[Kind(row.kind)],
                "order_id": row.order_id,
                "status": row.status,
                "code": row.code or (tried.reason if receiver.is_code(tried.reason) else None),
                "failed_tries": tried.attempts,
                "next_try_at": tried.next_at,
                "requested_at": row.created_at,
                "updated_at": row.updated_at,
            }
        )
    return views

"""A customer's webhooks: which there are, what they are told of, and whether."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from notification_service.domain.state import (
    DisabledBy,
    Kind,
    NotificationCode,
    Subscriber,
    Told,
    Webhook,
    WebhookStatus,
)
from schemas.events import (
    WebhookDeleted,
    WebhookDisabled,
    WebhookEnabled,
    WebhookRegistered,
    WebhookSubscribed,
)
from waybill.deciders.outcomes import Code, Decision, Ignored, NotFound, Refused


@dataclass(frozen=True, kw_only=True, slots=True)
class WebhookCommand:
    """Ask something of one of a customer's webhooks."""

    customer_id: str
    webhook_id: UUID

    def rows(self) -> Mapping[str, Sequence[UUID | str]]:
        """Name the customer's webhooks."""
        return {"subscriber": (self.customer_id,)}


@dataclass(frozen=True, kw_only=True, slots=True)
class RegisterWebhook(WebhookCommand):
    """Tell the customer there too; no more than `limit` webhooks."""

    kinds: tuple[Kind, ...]
    limit: int


@dataclass(frozen=True, kw_only=True, slots=True)
class SubscribeWebhook(WebhookCommand):
    """Tell it of these kinds of news."""

    kinds: tuple[Kind, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class DisableWebhook(WebhookCommand):
    """Deliver nothing there for now."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EnableWebhook(WebhookCommand):
    """Deliver there again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DeleteWebhook(WebhookCommand):
    """Forget it."""


WebhookCommands = RegisterWebhook | SubscribeWebhook | DisableWebhook | EnableWebhook | DeleteWebhook
WebhookEvent = WebhookRegistered | WebhookSubscribed | WebhookDisabled | WebhookEnabled | WebhookDeleted


def decide(command: WebhookCommands, told: Told) -> Decision:
    """Return what follows for one of the customer's webhooks."""
    customer_id, webhook_id = command.customer_id, command.webhook_id
    match command, told.webhook(webhook_id):
        case RegisterWebhook(kinds=kinds, limit=limit), WebhookStatus.NONE:
            if told.subscriber and len(told.subscriber.webhooks) >= limit:
                return Refused(NotificationCode.TOO_MANY_WEBHOOKS, f"there are {limit} webhooks already; delete one")
            return [WebhookRegistered(customer_id=customer_id, webhook_id=webhook_id, kinds=kinds)]
        case RegisterWebhook(), WebhookStatus.ENABLED | WebhookStatus.DISABLED:
            return Refused(Code.ALREADY_EXISTS, f"webhook {webhook_id} is registered already")

        case SubscribeWebhook(kinds=kinds), WebhookStatus.ENABLED | WebhookStatus.DISABLED:
            return [WebhookSubscribed(customer_id=customer_id, webhook_id=webhook_id, kinds=kinds)]

        case DisableWebhook(), WebhookStatus.ENABLED:
            return [WebhookDisabled(customer_id=customer_id, webhook_id=webhook_id, cause=DisabledBy.CUSTOMER)]
        case DisableWebhook(), WebhookStatus.DISABLED:
            return Ignored("already disabled")

        case EnableWebhook(), WebhookStatus.DISABLED:
            return [WebhookEnabled(customer_id=customer_id, webhook_id=webhook_id)]
        case EnableWebhook(), WebhookStatus.ENABLED:
            return Ignored("already enabled")

        case DeleteWebhook(), WebhookStatus.ENABLED | WebhookStatus.DISABLED:
            return [WebhookDeleted(customer_id=customer_id, webhook_id=webhook_id)]
        case ((SubscribeWebhook() | DisableWebhook() | EnableWebhook() | DeleteWebhook()), WebhookStatus.NONE):
            return NotFound(Code.NOT_FOUND, f"there is no webhook {webhook_id}")


def evolve(subscriber: Subscriber, event: WebhookEvent) -> Subscriber:
    """Return the customer's webhooks after the event."""
    webhooks = dict(subscriber.webhooks)
    match event:
        case WebhookRegistered(webhook_id=webhook_id, kinds=kinds):
            webhooks[webhook_id] = Webhook(status=WebhookStatus.ENABLED, kinds=tuple(map(Kind, kinds)))
        case WebhookSubscribed(webhook_id=webhook_id, kinds=kinds):
            webhooks[webhook_id] = replace(webhooks[webhook_id], kinds=tuple(map(Kind, kinds)))
        case WebhookDisabled(webhook_id=webhook_id, cause=cause):
            webhooks[webhook_id] = replace(
                webhooks[webhook_id], status=WebhookStatus.DISABLED, disabled_by=DisabledBy(cause), unanswered=None
            )
        case WebhookEnabled(webhook_id=webhook_id):
            webhooks[webhook_id] = replace(webhooks[webhook_id], status=WebhookStatus.ENABLED, disabled_by=None)
        case WebhookDeleted(webhook_id=webhook_id):
            del webhooks[webhook_id]
    return replace(subscriber, known=True, webhooks=webhooks)

"""What customers' webhooks are told, and what ends a webhook."""

from uuid import UUID

from notification_service.domain import (
    GONE,
    DeleteWebhook,
    DisableWebhook,
    EnableWebhook,
    Kind,
    Notices,
    Notify,
    RecordDelivery,
    RecordDeliveryFailure,
    Redeliver,
    RegisterWebhook,
    Stopped,
    Subscriber,
    SubscribeWebhook,
    Told,
    decide,
    delivery_id_of,
    evolve,
)
from schemas.events import (
    DeliveryFailed,
    DeliveryRequested,
    DeliverySucceeded,
    NotificationRequested,
    WebhookDeleted,
    WebhookDisabled,
    WebhookEnabled,
    WebhookRegistered,
    WebhookSubscribed,
)
from waybill.deciders.outcomes import Ignored
from waybill.testing import Scenario

ORDER, OTHER_ORDER = UUID(int=1), UUID(int=4)
HOOK = {"customer_id": "ann", "webhook_id": UUID(int=2)}
OTHER_HOOK = {"customer_id": "ann", "webhook_id": UUID(int=3)}
CONFIRMED, CANCELLED = Kind.ORDER_CONFIRMED, Kind.ORDER_CANCELLED
REGISTERED = WebhookRegistered(**HOOK, kinds=(CONFIRMED,))
NOTIFY = Notify(order_id=ORDER, customer_id="ann", kind=CONFIRMED)
MAIL = NotificationRequested(order_id=ORDER, customer_id="ann", kind=CONFIRMED, channel="EMAIL", reason=None)


def delivery(hook=HOOK, order_id=ORDER):
    return {**hook, "delivery_id": delivery_id_of(hook["webhook_id"], order_id, CONFIRMED)}


def requested(hook=HOOK, order_id=ORDER):
    return DeliveryRequested(**delivery(hook, order_id), order_id=order_id, kind=CONFIRMED)


REQUESTED = requested()
SUCCEEDED = DeliverySucceeded(**delivery())
FAILED = DeliveryFailed(**delivery(), code="http_500")
told = Scenario(decide, evolve, Told(notices=Notices(order_id=ORDER), subscriber=Subscriber(customer_id="ann")))


def test_every_enabled_webhook_that_is_subscribed_to_it_is_told_beside_the_mail():
    both = (REGISTERED, WebhookRegistered(**OTHER_HOOK, kinds=(CONFIRMED, CANCELLED)))
    told.given(*both).when(NOTIFY).then(MAIL, REQUESTED, requested(OTHER_HOOK))
    disabled = WebhookDisabled(**HOOK, cause="customer")
    told.given(*both, disabled).when(NOTIFY).then(MAIL, requested(OTHER_HOOK))
    told.given(*both, disabled, WebhookEnabled(**HOOK)).when(NOTIFY).then(MAIL, REQUESTED, requested(OTHER_HOOK))
    elsewhere = WebhookSubscribed(**OTHER_HOOK, kinds=(CANCELLED,))
    told.given(*both, elsewhere).when(NOTIFY).then(MAIL, REQUESTED)
    told.given(*both, WebhookDeleted(**HOOK)).when(NOTIFY).then(MAIL, requested(OTHER_HOOK))


def test_what_was_told_is_delivered_once_however_often_the_news_comes():
    told.given(REGISTERED, MAIL, REQUESTED).when(NOTIFY).then(Ignored)


def test_a_customer_has_no_more_webhooks_than_the_limit():
    one_more = RegisterWebhook(**OTHER_HOOK, kinds=(CONFIRMED,), limit=1)
    told.given(REGISTERED).when(one_more).then("too_many_webhooks")
    told.given(REGISTERED, WebhookDeleted(**HOOK)).when(one_more).then(
        WebhookRegistered(**OTHER_HOOK, kinds=(CONFIRMED,))
    )


def test_a_webhook_that_is_not_there_is_not_found():
    for command in (DeleteWebhook(**HOOK), EnableWebhook(**HOOK), DisableWebhook(**HOOK)):
        told.when(command).then("not_found")
    told.when(SubscribeWebhook(**HOOK, kinds=(CONFIRMED,))).then("not_found")


def test_a_receiver_that_is_gone_disables_its_webhook():
    gone = RecordDeliveryFailure(**delivery(), code=GONE)
    failed = DeliveryFailed(**delivery(), code=GONE)
    told.given(REGISTERED, REQUESTED).when(gone).then(failed, WebhookDisabled(**HOOK, cause="gone"))


def test_a_webhook_is_disabled_where_nothing_was_delivered_while_a_delivery_was_tried():
    give_up = RecordDeliveryFailure(**delivery(), code="http_500")
    disabled = WebhookDisabled(**HOOK, cause="failing")
    later = requested(order_id=OTHER_ORDER)
    got_through = DeliverySucceeded(**delivery(order_id=OTHER_ORDER))
    told.given(REGISTERED, REQUESTED).when(give_up).then(FAILED, disabled)
    told.given(REGISTERED, REQUESTED, later).when(give_up).then(FAILED, disabled)
    told.given(REGISTERED, REQUESTED, later, got_through).when(give_up).then(FAILED)
    told.given(REGISTERED, later, REQUESTED, got_through).when(give_up).then(FAILED)
    told.given(REGISTERED, later, got_through, REQUESTED).when(give_up).then(FAILED, disabled)


def test_a_webhook_that_was_enabled_again_begins_anew():
    later = requested(order_id=OTHER_ORDER)
    since = (REGISTERED, REQUESTED, later, FAILED, WebhookDisabled(**HOOK, cause="failing"), WebhookEnabled(**HOOK))
    give_up = RecordDeliveryFailure(**delivery(order_id=OTHER_ORDER), code="http_500")
    told.given(*since).when(give_up).then(DeliveryFailed(**delivery(order_id=OTHER_ORDER), code="http_500"))


def test_what_ends_by_no_fault_of_the_receiver_disables_nothing():
    for code in Stopped:
        ended = DeliveryFailed(**delivery(), code=code)
        told.given(REGISTERED, REQUESTED).when(RecordDeliveryFailure(**delivery(), code=code)).then(ended)


def test_what_was_delivered_or_given_up_is_delivered_again_where_the_customer_asks():
    for settled in (SUCCEEDED, FAILED):
        told.given(REGISTERED, REQUESTED, settled).when(Redeliver(**delivery())).then(REQUESTED)
    told.given(REGISTERED, REQUESTED).when(Redeliver(**delivery())).then(Ignored)
    disabled = WebhookDisabled(**HOOK, cause="failing")
    told.given(REGISTERED, REQUESTED, FAILED, disabled).when(Redeliver(**delivery())).then("webhook_disabled")


def test_what_came_of_a_delivery_is_recorded_once():
    told.given(REGISTERED, REQUESTED).when(RecordDelivery(**delivery())).then(SUCCEEDED)
    told.given(REGISTERED, REQUESTED, SUCCEEDED).when(RecordDelivery(**delivery())).then(Ignored)
    told.when(RecordDelivery(**delivery())).then("conflict")


def test_a_delivery_of_a_webhook_that_was_deleted_meanwhile_is_recorded_all_the_same():
    told.given(REGISTERED, REQUESTED, WebhookDeleted(**HOOK)).when(RecordDelivery(**delivery())).then(SUCCEEDED)

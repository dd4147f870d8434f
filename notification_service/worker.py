"""What is due at the mail server; between transactions, never inside one. A replay sends no mail by itself."""

from notification_service import mailer
from notification_service.domain import Kind, Notices, RecordFailure, RecordSent, Status
from notification_service.models import ContactRow
from schemas.events import NotificationRequested
from waybill.database import rows
from waybill.deciders.service import Tried, after


def suppress(notices: Notices, asked: NotificationRequested, _: Tried) -> RecordFailure:
    """Note that the customer is not told: history was replayed, and they have lived through it."""
    return RecordFailure(order_id=notices.order_id, kind=Kind(asked.kind), code="suppressed_on_replay")


@after(NotificationRequested, on_replay=suppress, remediation="bring the mail server back; the mail goes out by itself")
def send(notices: Notices, asked: NotificationRequested, _: Tried) -> RecordSent | RecordFailure | None:
    """Hand the mail to the mail server, unless that is settled."""
    kind = Kind(asked.kind)
    if notices.status(kind) is not Status.PENDING:
        return None
    contact = next(iter(rows.load(ContactRow, [asked.customer_id], lock=False)), None)
    if contact is None:
        return RecordFailure(order_id=asked.order_id, kind=kind, code="no_address")
    if refusal := mailer.send(contact.email, asked):
        return RecordFailure(order_id=asked.order_id, kind=kind, code=refusal)
    return RecordSent(order_id=asked.order_id, kind=kind)

"""A Django e-mail backend that makes each mail an event, in the transaction that is open: another service sends it.

    EMAIL_BACKEND = "waybill.outbox.mail.OutboxBackend"
    WAYBILL = {…, "MAIL": "bookings.MailRequested"}

The mail leaves if the transaction is committed, and only then; no request waits for a mail server. The event has the
fields of `FIELDS`, of the types there; more are refused. `waybill.inbox.mail.send` sends what they say.
"""

from collections.abc import Sequence
from email import message_from_bytes
from email.generator import BytesGenerator
from email.policy import compat32
from email.utils import parseaddr
from io import BytesIO
from typing import Any, Final
from uuid import UUID

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.mail.backends.base import BaseEmailBackend
from django.db import router, transaction

from waybill.application import event_classes
from waybill.contracts.event import Event
from waybill.observability.telemetry import new_id
from waybill.outbox.appending import append
from waybill.outbox.models import OutboxEvent

FIELDS: Final = ("mail_id", "sender", "recipients", "content")
"""Of the event: its key, a uuid; the envelope's addresses, a string and an array of strings; and the mail whole, with
its headers and attachments, as seven-bit text (RFC 5322): a string."""
SEVEN_BIT: Final = compat32.clone(cte_type="7bit", linesep="\r\n")


class OutboxBackend(BaseEmailBackend):
    """Appends an event for each mail."""

    def send_messages(self, email_messages: Sequence[Any]) -> int:
        """Append the mails' events, all or none, and return how many there are; mails to nobody are passed over.

        Raises ImproperlyConfigured where WAYBILL["MAIL"] names no event that fits, and what `append` raises, as where a
        mail is larger than its topic takes; nothing of either where `fail_silently` was asked for.
        """
        try:
            events = [_event(mail) for mail in email_messages if mail.recipients()]
            using = router.db_for_write(OutboxEvent)
            with transaction.atomic(using):
                append(*events, using=using)
        except Exception:
            if not self.fail_silently:
                raise
            return 0
        return len(events)


def _event(mail: Any) -> Event:
    recipients = [_address(one) for one in mail.recipients()]
    values = (UUID(new_id()), _address(mail.from_email), recipients, _seven_bit(mail.message()))
    return _event_class().from_avro(dict(zip(FIELDS, values, strict=True)))


def _address(given: str) -> str:
    """Return the address alone, as a mail server takes it."""
    name, at, domain = parseaddr(given)[1].rpartition("@")
    return f"{name}{at}{domain.encode('idna').decode('ascii')}"


def _seven_bit(message: Any) -> str:
    """Return the mail as text; whatever is not ASCII is encoded, so that any server on the way takes it."""
    content = BytesIO()
    # Read again: Django's own classes write their text with eight bits, whatever the policy says.
    BytesGenerator(content, mangle_from_=False, policy=SEVEN_BIT).flatten(message_from_bytes(message.as_bytes()))
    return content.getvalue().decode("ascii")


def _event_class() -> type[Event]:
    name: Any = getattr(settings, "WAYBILL", {}).get("MAIL")
    if name not in event_classes():
        raise ImproperlyConfigured(f"WAYBILL['MAIL'] = {name!r}: name the event that a mail becomes, as in its .avsc")
    return event_classes()[name]

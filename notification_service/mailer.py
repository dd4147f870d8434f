"""Mail, through Django's SMTP backend.

A mail server that is away raises Unavailable. The Message-ID follows from order and kind, so that a mail handed over
twice (the worker died after the server took it) is known as the same one.
"""

import smtplib

from django.core.mail import EmailMessage
from django.core.mail.backends.smtp import EmailBackend

from chassis.outcomes import Unavailable
from chassis.settings import read
from notification_service.domain import Kind
from notification_service.settings import NotificationSettings
from schemas.events import NotificationRequested

PERMANENT = 500
TEXTS = {
    Kind.ORDER_CONFIRMED: ("Your order is confirmed", "Your order {order_id} is confirmed and paid."),
    Kind.ORDER_CANCELLED: (
        "Your order is cancelled",
        "Your order {order_id} is cancelled ({reason}). Nothing is charged.",
    ),
    Kind.PAYMENT_REFUNDED: ("Your payment is refunded", "What you paid for order {order_id} is on its way back."),
}


def send(address: str, asked: NotificationRequested) -> bool:
    """Hand a mail over; False where the address is refused for good. Raises Unavailable where that is unknown."""
    settings = read(NotificationSettings)
    subject, text = TEXTS[Kind(asked.kind)]
    domain = settings.mail_from.rpartition("@")[2]
    backend = EmailBackend(
        host=settings.smtp_host, port=settings.smtp_port, timeout=settings.smtp_timeout_seconds, fail_silently=False
    )
    message = EmailMessage(
        subject=subject,
        body=text.format(order_id=asked.order_id, reason=asked.reason),
        from_email=settings.mail_from,
        to=[address],
        headers={
            "Message-ID": f"<{asked.order_id}.{asked.kind}@{domain}>",
            "X-Order-ID": str(asked.order_id),
            "X-Notification-Kind": asked.kind,
        },
        connection=backend,
    )
    try:
        message.send()
    except smtplib.SMTPRecipientsRefused as error:
        if all(code >= PERMANENT for code, _ in error.recipients.values()):
            return False
        raise Unavailable(f"mail server: {error!r}") from error
    except (OSError, smtplib.SMTPException) as error:
        raise Unavailable(f"mail server: {error!r}") from error
    return True

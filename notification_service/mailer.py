"""Mail, through Django's SMTP backend.

A mail server that is away raises Unavailable. The Message-ID follows from order and kind, so that a mail handed over
twice (the worker died after the server took it) is known as the same one. Each thread keeps its connection for the
next mail: greeting a server anew costs more than a mail.
"""

import smtplib
import socket
import threading
import time

from django.core.mail import EmailMessage
from django.core.mail.backends.smtp import EmailBackend
from django.core.mail.utils import DNS_NAME

from notification_service.address import ascii_form
from notification_service.domain import Kind
from notification_service.settings import NotificationSettings
from schemas.events import NotificationRequested
from waybill.deciders.outcomes import Unavailable
from waybill.runtime import outside
from waybill.runtime.settings import read
from waybill.tracing.spans import span

PERMANENT = 500  # SMTP: 5xx is refused for good, 4xx may be taken later
IDLE_SECONDS = 5.0  # an older connection is not trusted: servers hang up after minutes, what is in between after less
TEXTS = {
    Kind.ORDER_CONFIRMED: ("Your order is confirmed", "Your order {order_id} is confirmed and paid."),
    Kind.ORDER_CANCELLED: (
        "Your order is cancelled",
        "Your order {order_id} is cancelled ({reason}). Nothing is charged.",
    ),
    Kind.PAYMENT_REFUNDED: ("Your payment is refunded", "What you paid for order {order_id} is on its way back."),
}


def send(address: str, asked: NotificationRequested) -> str | None:
    """Hand a mail over; returns why it will never be taken, or None where it was. Raises Unavailable to try again.

    What the server says of sender or session (after HELO or MAIL) concerns every mail, so it is tried again.
    """
    try:
        message = _message(ascii_form(address), asked)
    except ValueError:
        return "address_not_mailable"
    try:
        told = read(NotificationSettings)
        to = {"server.address": told.smtp_host, "server.port": told.smtp_port}
        with span("send mail", "client", to), outside.within(told.smtp_timeout_seconds):
            _hand_over(message)
    except smtplib.SMTPRecipientsRefused as error:
        if all(code >= PERMANENT for code, _ in error.recipients.values()):
            return "address_refused"
        raise Unavailable(f"mail server: {error!r}") from error
    except smtplib.SMTPDataError as error:
        if error.smtp_code >= PERMANENT:
            return f"message_refused_{error.smtp_code}"
        raise Unavailable(f"mail server: {error!r}") from error
    except (OSError, smtplib.SMTPException) as error:
        raise Unavailable(f"mail server: {error!r}") from error
    return None


def _message(address: str, asked: NotificationRequested) -> EmailMessage:
    mail_from = read(NotificationSettings).mail_from
    subject, text = TEXTS[Kind(asked.kind)]
    domain = mail_from.rpartition("@")[2]
    return EmailMessage(
        subject=subject,
        body=text.format(order_id=asked.order_id, reason=asked.reason),
        from_email=mail_from,
        to=[address],
        headers={
            "Message-ID": f"<{asked.order_id}.{asked.kind}@{domain}>",
            "X-Order-ID": str(asked.order_id),
            "X-Notification-Kind": asked.kind,
        },
    )


class _Smtp(smtplib.SMTP):
    """A session that no server can draw out past the mail's deadline."""

    def _get_socket(self, host: str, port: int, _timeout: float) -> socket.socket:
        return outside.connect(host, port)


class _Backend(EmailBackend):
    @property
    def connection_class(self) -> type[smtplib.SMTP]:
        return _Smtp


class _Kept(threading.local):
    """Hold a thread's own connection to the mail server."""

    backend: EmailBackend | None = None
    used_at = 0.0


_kept = _Kept()


def _hand_over(message: EmailMessage) -> None:
    """Send over the connection that is kept, or a new one where there is none or the server has hung up."""
    if _kept.backend is not None and time.monotonic() - _kept.used_at > IDLE_SECONDS:
        hang_up()
    kept = _kept.backend is not None
    try:
        _send(message)
    except smtplib.SMTPServerDisconnected:
        if not kept:
            raise
        _send(message)


def _send(message: EmailMessage) -> None:
    if _kept.backend is None:
        settings = read(NotificationSettings)
        backend = _Backend(host=settings.smtp_host, port=settings.smtp_port, fail_silently=False)
        outside.bounded(DNS_NAME.get_fqdn)  # it asks a resolver the first time
        backend.open()
        _kept.backend = backend
    try:
        _kept.backend.send_messages([message])
    except (smtplib.SMTPRecipientsRefused, smtplib.SMTPDataError):
        connection = _kept.backend.connection
        if connection is None or connection.sock is None:  # 421: the server has ended the session
            hang_up()
        _kept.used_at = time.monotonic()  # otherwise it is as good as before
        raise
    except (OSError, smtplib.SMTPException):
        hang_up()
        raise
    _kept.used_at = time.monotonic()


def hang_up() -> None:
    """Close the connection that this thread keeps, if it keeps one."""
    backend, _kept.backend = _kept.backend, None
    if backend is not None and backend.connection is not None:
        backend.connection.close()

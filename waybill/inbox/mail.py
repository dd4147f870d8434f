"""Sending what `waybill.outbox.mail` made events of, in a handler.

    @on(MailRequested)
    def send_mail(event: MailRequested, message: Message) -> None:
        mail.send(event.sender, event.recipients, event.content)

A handler that is called again sends again, with the same Message-ID, by which mail programs show it once.
"""

import smtplib
from collections.abc import Sequence
from typing import Any, Final

import structlog
from django.core.mail import get_connection

from waybill.deciders.outcomes import Unavailable

log: structlog.stdlib.BoundLogger = structlog.get_logger()
PERMANENT: Final = 500  # from here on, an answer of SMTP stays as it is


def send(sender: str, recipients: Sequence[str], content: str) -> None:
    """Hand a mail to the server of Django's settings (EMAIL_HOST, …), as it was made.

    Raises Unavailable where the server is away or asks to come again, and SMTPException where it refuses the mail for
    good. Where it takes it for some recipients only, the others are logged.
    """
    connection: Any = get_connection("django.core.mail.backends.smtp.EmailBackend")
    try:
        connection.open()
        refused = connection.connection.sendmail(sender, list(recipients), content.encode("ascii"))
    except smtplib.SMTPRecipientsRefused as error:
        if all(code >= PERMANENT for code, _ in error.recipients.values()):
            raise
        raise Unavailable(f"the mail server takes no recipient yet: {error}") from error
    except smtplib.SMTPResponseException as error:
        if error.smtp_code >= PERMANENT:
            raise
        raise Unavailable(f"the mail server asks to come again: {error}") from error
    except (smtplib.SMTPServerDisconnected, OSError) as error:
        if isinstance(error, smtplib.SMTPException) and not isinstance(error, smtplib.SMTPServerDisconnected):
            raise
        raise Unavailable(f"the mail server is away: {error}") from error
    finally:
        connection.close()
    if refused:
        log.error("recipients refused", recipients=len(recipients), refused=len(refused))

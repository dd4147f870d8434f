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
CLOSING: Final = 421  # the server takes nothing at all just now


def send(sender: str, recipients: Sequence[str], content: str) -> None:
    """Hand a mail to the server of Django's settings (EMAIL_HOST, …), as it was made.

    Raises Unavailable while the server is away or closes, which counts against no mail, and SMTPException where it does
    not take this one: another one may be taken. Where it takes it for some recipients only, the others are logged.
    """
    connection: Any = get_connection("django.core.mail.backends.smtp.EmailBackend")
    try:
        connection.open()
        refused = connection.connection.sendmail(sender, list(recipients), content.encode("ascii"))
    except smtplib.SMTPServerDisconnected as error:
        raise Unavailable(f"the mail server is away: {error}") from error
    except smtplib.SMTPResponseException as error:
        if error.smtp_code == CLOSING:
            raise Unavailable(f"the mail server takes nothing now: {error}") from error
        raise
    except smtplib.SMTPException:
        raise  # each is an OSError too
    except OSError as error:
        raise Unavailable(f"the mail server is away: {error}") from error
    finally:
        connection.close()
    if refused:
        log.error("recipients refused", recipients=len(recipients), refused=len(refused))

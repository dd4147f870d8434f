"""What follows from the shop's events; `manage.py consume` calls it."""

from mails.events import MailRequested
from waybill.inbox import Message, mail, on


@on(MailRequested)
def send_mail(event: MailRequested, _: Message) -> None:
    """Hand the mail to the mail server."""
    mail.send(event.sender, event.recipients, event.content)

"""The webshop's mails become events in the transaction that is open, and the service of mails sends them."""

import email
import email.policy
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from aiosmtpd.controller import Controller

from devstack.harness.stack import Stack
from devstack.harness.wait import wait_until
from tests.support.moving import MONOLITH, Monolith
from tests.support.providers.process import free_port
from tests.support.topics import delete_topics

DEADLINE_SECONDS = 60
SEND = """
from django.core.mail import EmailMultiAlternatives
from django.db import transaction
def send(subject, body="Hällo"):
    recipients, hidden = ["ann@exämple.com"], ["hidden@example.com"]
    mail = EmailMultiAlternatives(subject, body, "Jörg <joerg@example.com>", recipients, bcc=hidden)
    mail.attach_alternative("<b>ü</b>", "text/html")
    mail.attach("a.bin", bytes(range(256)), "application/octet-stream")
    return mail.send()
"""
TWO = """
assert send("Größe") == 1
try:
    with transaction.atomic():
        send("of what was undone")
        raise LookupError
except LookupError:
    pass
"""
TOO_LARGE = """
from waybill.outbox import AppendRefused
try:
    send("too large", "x" * 2**20)
except AppendRefused as error:
    print(error)
"""
NOBODY = """
from django.core.mail import EmailMessage
print(EmailMessage("to nobody", "x").send())
"""
BACKEND = {"EMAIL_BACKEND": "waybill.outbox.mail.OutboxBackend"}
WAITING = "SELECT count(*) FROM received WHERE status IN (-1, 2)"


class Mailbox:
    """A mail server that keeps what it takes, and answers as told."""

    def __init__(self) -> None:
        self.kept: list[tuple[str, list[str], str]] = []
        self.answer = ""
        self.answers: dict[str, str] = {}
        """By subject, where another one than `answer`."""
        self.refused = 0
        self.controller = Controller(self, hostname="127.0.0.1", port=free_port())

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        text = envelope.original_content.decode("ascii")
        if answer := next((one for name, one in self.answers.items() if f"Subject: {name}" in text), self.answer):
            self.refused += 1
            return answer
        self.kept.append((envelope.mail_from, envelope.rcpt_tos, text))
        return "250 kept"


class Mails(Monolith):
    """The service of mails."""

    folder = MONOLITH / "services"
    settings = "mails.settings"


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    made = Mailbox()
    made.controller.start()
    try:
        yield made
    finally:
        made.controller.stop()


@pytest.fixture
def telling(shop: Monolith, stack: Stack) -> Monolith:
    """The shop, whose mails are events, of which none was there before."""
    delete_topics(stack.kafka, ["shop.mails.v1"])
    shop.variables |= BACKEND | addresses(stack) | {"WAYBILL_PORT": str(free_port())}
    return shop


@pytest.fixture
def sending(shop: Monolith, stack: Stack, mailbox: Mailbox) -> Iterator[Monolith]:
    name = f"mails_{uuid.uuid4().hex[:8]}"
    shop.server.execute(f"CREATE DATABASE {name}")
    server = {"EMAIL_HOST": "127.0.0.1", "EMAIL_PORT": str(mailbox.controller.port)}
    with Mails(shop.server, name, variables=addresses(stack) | server | {"SERVICE_DB_NAME": name}).another(
        name
    ) as made:
        made.manage("migrate", "-v0")
        made.manage("contracts", "register")
        yield made


def addresses(stack: Stack) -> dict[str, str]:
    registry = f"{stack.urls['registry']}/apis/ccompat/v7"
    return {"WAYBILL_KAFKA_BOOTSTRAP": stack.kafka, "WAYBILL_REGISTRY_URL": registry}


def test_a_mail_leaves_whole_if_what_it_is_about_is_committed(telling: Monolith, sending: Monolith, mailbox: Mailbox):
    telling.manage("contracts", "topics")
    telling.manage("contracts", "register")
    mailbox.answer = "421 not now"
    telling.manage("shell", "-c", SEND + TWO)
    telling.begin("-W", "error", "manage.py", "relay")
    sending.begin("-W", "error", "manage.py", "consume")
    wait_until(lambda: mailbox.refused > 1, deadline_seconds=DEADLINE_SECONDS, what="it is tried again")
    mailbox.answer = ""
    wait_until(lambda: mailbox.kept, deadline_seconds=DEADLINE_SECONDS, what="the mail")
    telling.manage("shell", "-c", SEND + 'send("the next one")')
    wait_until(lambda: len(mailbox.kept) > 1, deadline_seconds=DEADLINE_SECONDS, what="the next mail")
    subjects = [email.message_from_string(text, policy=email.policy.default)["subject"] for *_, text in mailbox.kept]
    assert subjects == ["Größe", "the next one"]
    sender, recipients, text = mailbox.kept[0]
    assert (sender, recipients) == ("joerg@example.com", ["ann@xn--exmple-cua.com", "hidden@example.com"])
    assert "hidden" not in text
    mail = email.message_from_string(text, policy=email.policy.default)
    assert isinstance(mail, email.message.EmailMessage)
    plain, html = mail.get_body(("plain",)), mail.get_body(("html",))
    assert plain is not None
    assert html is not None
    assert (plain.get_content().strip(), html.get_content().strip()) == ("Hällo", "<b>ü</b>")
    assert [one.get_content() for one in mail.iter_attachments()] == [bytes(range(256))]


def test_a_mail_that_the_server_does_not_take_is_a_dead_letter_and_holds_up_no_other(telling, sending, mailbox):
    telling.manage("contracts", "topics")
    telling.manage("contracts", "register")
    mailbox.answers = {"refused": "554 never", "greylisted": "451 later"}
    telling.manage("shell", "-c", SEND + 'send("refused"); send("greylisted"); send("taken")')
    telling.begin("-W", "error", "manage.py", "relay")
    sending.begin("-W", "error", "manage.py", "consume")
    asked = "SELECT headers::text FROM received WHERE status = -1"
    wait_until(lambda: len(sending.execute(asked)) > 1, deadline_seconds=DEADLINE_SECONDS, what="two dead letters")
    reasons = " ".join(reason for (reason,) in sending.execute(asked))
    assert ("never" in reasons, "later" in reasons) == (True, True)

    def taken() -> bool:
        return any("Subject: taken" in text for *_, text in mailbox.kept)

    wait_until(taken, deadline_seconds=DEADLINE_SECONDS, what="the mail that is taken")


def test_what_cannot_be_an_event_is_refused_where_it_is_sent(telling: Monolith):
    assert "shop.mails.v1" in telling.manage("shell", "-c", SEND + TOO_LARGE)
    assert telling.manage("shell", "-c", NOBODY).split()[-1] == "0"
    assert telling.execute("SELECT count(*) FROM waybill_outbox") == [(0,)]

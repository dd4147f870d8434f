"""A mail goes out over the connection that is there, and over a new one where the mail server has hung up."""

from uuid import uuid4

import pytest
from aiosmtpd.controller import Controller
from pydantic import ValidationError

from devstack.harness.wait import wait_until
from devstack.ports import choose
from notification_service import api, mailer
from notification_service.domain import Kind
from notification_service.settings import NotificationSettings
from schemas.events import NotificationRequested
from waybill.deciders.outcomes import Unavailable


class Server:
    """A mail server that counts its callers and can hang up on them."""

    def __init__(self):
        self.sessions, self.mails, self.after_data = [], [], ""

    async def handle_MAIL(self, server, _session, envelope, address, _options):  # noqa: N802 - aiosmtpd's name
        if server not in self.sessions:
            self.sessions.append(server)
        envelope.mail_from = address
        return "250 ok"

    async def handle_RCPT(self, _server, _session, envelope, address, _options):  # noqa: N802
        if address.startswith("nobody"):
            return "550 no such user"
        if address.startswith("later"):
            return "450 try again"
        envelope.rcpt_tos.append(address)
        return "250 ok"

    async def handle_DATA(self, _server, _session, envelope):  # noqa: N802
        if self.after_data:
            return self.after_data
        self.mails.append(envelope.rcpt_tos)
        return "250 kept"


@pytest.fixture
def server(monkeypatch):
    handler = Server()
    port = choose(["mail"], {}, {})["mail"]
    controller = Controller(handler, hostname="127.0.0.1", port=port)
    controller.start()
    settings = NotificationSettings(smtp_host="127.0.0.1", smtp_port=port, smtp_timeout_seconds=5)
    monkeypatch.setattr(mailer, "read", lambda _: settings)
    handler.loop = controller.loop
    yield handler
    mailer.hang_up()
    controller.stop()


def asked():
    kind = Kind.ORDER_CONFIRMED
    return NotificationRequested(order_id=uuid4(), customer_id="ann", kind=kind, channel="email", reason=None)


def test_mails_of_one_thread_share_a_connection(server):
    assert mailer.send("ann@example.com", asked()) is None
    assert mailer.send("bob@example.com", asked()) is None
    assert (len(server.mails), len(server.sessions)) == (2, 1)


def test_a_refused_address_leaves_the_connection_for_the_next_mail(server):
    assert mailer.send("nobody@example.com", asked()) == "address_refused"
    assert mailer.send("ann@example.com", asked()) is None
    assert (len(server.mails), len(server.sessions)) == (1, 1)


def test_a_mail_goes_out_though_the_server_hung_up_since_the_last_one(server):
    assert mailer.send("ann@example.com", asked()) is None
    (session,) = server.sessions
    server.loop.call_soon_threadsafe(session.transport.close)
    wait_until(lambda: session.transport is None or session.transport.is_closing(), deadline_seconds=5, what="hung up")
    assert mailer.send("ann@example.com", asked()) is None
    assert (len(server.mails), len(server.sessions)) == (2, 2)


def test_a_mail_server_that_is_away_is_said_to_be(monkeypatch):
    nowhere = NotificationSettings(smtp_host="127.0.0.1", smtp_port=1, smtp_timeout_seconds=5)
    monkeypatch.setattr(mailer, "read", lambda _: nowhere)
    with pytest.raises(Unavailable):
        mailer.send("ann@example.com", asked())


def test_a_mail_refused_for_good_after_data_fails_with_the_code_and_leaves_the_connection(server):
    server.after_data = "554 looks like spam"
    assert mailer.send("ann@example.com", asked()) == "message_refused_554"
    server.after_data = ""
    assert mailer.send("ann@example.com", asked()) is None
    assert (len(server.mails), len(server.sessions)) == (1, 1)


@pytest.mark.parametrize("answer", ["451 busy", "421 closing"])
def test_a_mail_refused_for_now_after_data_is_tried_again(server, answer):
    server.after_data = answer
    with pytest.raises(Unavailable):
        mailer.send("ann@example.com", asked())
    server.after_data = ""
    assert mailer.send("ann@example.com", asked()) is None


def test_an_address_refused_for_now_is_tried_again(server):
    with pytest.raises(Unavailable):
        mailer.send("later@example.com", asked())


def test_a_domain_goes_where_idna_2008_says(server):
    assert mailer.send("ann@Straße.example", asked()) is None
    assert server.mails == [["ann@xn--strae-oqa.example"]]


@pytest.mark.parametrize(
    "address", ["ann@☃.example", "änn@example.com", "ann@" + "ß" * 80 + ".example", "no address", '"\x01"@a.example']
)
def test_an_address_without_an_ascii_form_is_never_tried_again(server, address):
    assert mailer.send(address, asked()) == "address_not_mailable"
    assert server.sessions == []


UNMAILABLE = (
    "ann@☃.example",
    "ann@" + "ß" * 80 + ".example",
    "ann@xn--zzzzzz.example",
    "ann@" + ".".join(["ß" * 40] * 6) + ".example",
    "ann@[127.0.0.1]",
    "ann@localhost",
    '"a\x01b"@example.com',
    '"\x7f"@example.com',
    '"a\\"b"@example.com',
    "a\n@example.com",
    "ann@example.com\r\nRCPT TO:<bob@example.com>",
    "x" * 65 + "@example.com",
    "änn@example.com",
)


@pytest.mark.parametrize("address", UNMAILABLE)
def test_a_contact_that_could_never_be_mailed_is_refused(address):
    with pytest.raises(ValidationError, match="email"):
        api.ContactIn(email=address)


def test_a_sender_that_no_mail_can_come_from_ends_the_program_at_its_start():
    with pytest.raises(ValidationError, match="mail_from"):
        NotificationSettings(mail_from="Shop <shop@example.com>")

"""A mail that was accepted is kept, and shown without being trusted."""

from email.message import EmailMessage

import pytest

from devstack.simulators.http_server import Request
from devstack.simulators.mailbox import Mailbox


@pytest.fixture
def store(tmp_path):
    return str(tmp_path / "mail.sqlite")


@pytest.fixture
def mailbox(store):
    made = Mailbox(store)
    yield made
    made.db.close()


def mail(to: str, subject: str, text: str = "Hello\n") -> bytes:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "shop@example.com", to, subject
    message.set_content(text)
    return message.as_bytes()


def messages(mailbox: Mailbox, **query: str) -> list:
    return mailbox.handle(Request("GET", "/messages", query, {}, b"")).content["items"]


def test_mails_are_listed_newest_first_and_by_recipient(mailbox):
    mailbox.keep(["a@example.com"], mail("a@example.com", "first"))
    mailbox.keep(["b@example.com", "a@example.com"], mail("b@example.com", "zweite: Grüße", "Grüße\n"))
    assert [item["subject"] for item in messages(mailbox)] == ["zweite: Grüße", "first"]
    assert [item["subject"] for item in messages(mailbox, to="b@example.com")] == ["zweite: Grüße"]
    newest = messages(mailbox)[0]
    assert (newest["to"], newest["text"]) == (["a@example.com", "b@example.com"], "Grüße\n")
    assert newest["headers"]["From"] == "shop@example.com"


def test_mails_outlive_the_process(mailbox, store):
    mailbox.keep(["a@example.com"], mail("a@example.com", "kept"))
    again = Mailbox(store)
    assert [item["subject"] for item in messages(again)] == ["kept"]
    again.db.close()


def test_the_page_does_not_run_what_a_mail_says(mailbox):
    mailbox.keep(["a@example.com"], mail("a@example.com", "<script>1</script>", "{not} <b>bold</b>\n"))
    page = mailbox.handle(Request("GET", "/", {}, {}, b"")).content
    assert "&lt;script&gt;" in page
    assert "<script>" not in page
    assert "{not} &lt;b&gt;" in page


def test_a_mail_without_a_text_is_kept_too(mailbox):
    mailbox.keep(["a@example.com"], b"\xff\xfe")
    assert len(messages(mailbox)) == 1

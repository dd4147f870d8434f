"""What only a person can end is shown with what to do, and ended on record; and the record is there to read."""

import re

import psycopg
import pytest

from console_service.web.access import Role
from tests.support.console import owed


@pytest.fixture
def refund(console, services):
    """A refund that needs attention."""
    payment = services["payment"]
    return owed(payment.service_url, payment.owner_url)


def post(client, order_id, **more):
    meant = {"service": "payment", "key": str(order_id), "how": "paid", "reference": "transfer 7", "reason": "closed"}
    return client.post("/attention/do/settle", {**meant, **more})


def seal_of(response) -> str:
    (found,) = re.findall(r'name="seal" value="([^"]+)"', response.content.decode())
    return found


def events(services) -> list[tuple[str]]:
    with psycopg.connect(services["payment"].owner_url) as payment:
        return [one for (one,) in payment.execute("SELECT event_type FROM waybill_outbox ORDER BY position").fetchall()]


def test_it_is_shown_with_what_to_do_and_the_form_to_those_who_may(console, sign_in, services, refund):
    text = console.get("/attention").content.decode()
    for said in ("refund", str(refund), "the card is closed", "pay it by hand", "Settle it"):
        assert said in text
    assert "Settle it" not in sign_in(Role.VIEW).get("/attention").content.decode()


def test_settling_shows_what_it_records_then_records_it_and_the_attention_ends(console, services, refund):
    before = events(services)
    dry_run = post(console, refund)
    assert "PaymentRefunded" in dry_run.content.decode()
    assert events(services) == before
    done = post(console, refund, seal=seal_of(dry_run))
    assert (done.status_code, done.headers["Location"]) == (302, "/attention")
    assert events(services) == [*before, "waybill.payment.PaymentRefunded"]
    text = console.get("/attention").content.decode()
    assert "PaymentRefunded recorded" in text
    assert "Nothing needs a person" in text
    audit = console.get("/audit").content.decode()
    assert audit.count("transfer 7") == 2  # what was asked for by the console, and what the service recorded
    for said in ("console settle", ">settle<", "closed", "ann"):
        assert said in audit


def test_what_is_not_owed_is_refused_and_nothing_changes(console, services, refund):
    dry_run = post(console, refund)
    post(console, refund, seal=seal_of(dry_run))
    after = events(services)
    again = post(console, refund)
    assert again.status_code == 422
    assert b"nothing is changed" in again.content
    assert events(services) == after


@pytest.mark.parametrize("wrong", [{"service": "nobody"}, {"how": "x"}, {"reference": ""}, {"key": ""}, {"reason": ""}])
def test_a_form_that_says_too_little_is_told_so(console, services, refund, wrong):
    assert post(console, refund, **wrong).status_code == 422


def test_who_may_not_see_payloads_sees_them_masked(sign_in, services, refund):
    seen = post(sign_in(Role.VIEW, Role.OPERATE), refund).content.decode()
    assert "PaymentRefunded" in seen
    assert "3998" not in seen
    assert "3998" in post(sign_in(*Role), refund).content.decode()


def test_the_audit_is_filtered_and_paged(console, services, refund):
    with psycopg.connect(services["order"].owner_url, autocommit=True) as order:
        order.execute(
            "INSERT INTO waybill_operator_action (operator, verb, reason, what) "
            "SELECT 'bob', 'pause', 'reason ' || n, '{}' FROM generate_series(1, 120) AS n"
        )
    found: list[str] = []
    address = "/audit?operator=bob"
    while address:
        text = console.get(address).content.decode()
        found += re.findall(r"<td>(reason \d+)</td>", text)
        following = re.search(r'href="(\?[^"]+)" rel="next"', text)
        address = f"/audit{following[1].replace('&amp;', '&')}" if following else ""
    assert found == [f"reason {n}" for n in range(120, 0, -1)]
    assert b"Nobody has done anything" in console.get("/audit?service=payment&operator=bob").content

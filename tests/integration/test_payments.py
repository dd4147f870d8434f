"""Payments by the real worker, on a database and the simulator: what fails for long is shown, and never dropped."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from uuid import uuid4

import psycopg
import pytest
from django.db import connection
from django.test import RequestFactory

from devstack.harness.stack import CHECKOUT
from devstack.harness.wait import wait_until
from payment_service import api
from payment_service.domain import RequestPayment, ReturnPayment
from payment_service.models import PaymentRow
from payment_service.service import service as payments
from tests.support.databases import in_use
from tests.support.orders import cause
from tests.support.outbox_command import outbox, settings
from tests.support.providers import harness
from tests.support.providers.harness import Harness
from tests.support.providers.process import free_port
from waybill.deciders.unit_of_work import Caused, handle
from waybill.rest.auth import Caller
from waybill.runtime.condition import Condition
from waybill.runtime.settings import Settings
from waybill.tasks import worker

FAST = Settings(retry_seconds=0.05, worker_poll_seconds=0.01, worker_threads=2)


@pytest.fixture(scope="module")
def running(tmp_path_factory) -> Iterator[Harness]:
    with harness.simulator(tmp_path_factory.mktemp("simulator")) as psp:
        psp.settings = psp.settings.model_copy(
            update={"provider_timeout_seconds": 4, "provider_tries": 1, "provider_breaker_failures": 1000}
        )
        yield psp


@pytest.fixture
def psp(running, database_server) -> Iterator[Harness]:
    with (
        harness.in_use(running),
        database_server.fresh("payment_service") as database,
        in_use(database.service_url),
    ):
        running.database_url = database.service_url
        yield running


@contextmanager
def working(**changed) -> Iterator[None]:
    stop = threading.Event()
    thread = threading.Thread(target=worker.work, args=(payments, FAST.model_copy(update=changed), stop, Condition()))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def ask(method: str = "tok_ok"):
    """Ask for a charge; return the order's id."""
    order_id = uuid4()
    handle(
        payments,
        [
            Caused(
                RequestPayment(
                    order_id=order_id, customer_id="ann", amount=4200, currency="EUR", payment_method=method
                ),
                cause(),
            )
        ],
    )
    return order_id


def cancel(order_id) -> None:
    handle(payments, [Caused(ReturnPayment(order_id=order_id), cause())])


def status(order_id) -> str:
    return PaymentRow.objects.get(pk=order_id).status


def becomes(order_id, wanted: str) -> None:
    wait_until(lambda: status(order_id) == wanted, deadline_seconds=20, what=f"{order_id} is {wanted}")


def marks() -> list[tuple[str, str, str]]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT task, last_error, way_out FROM waybill_due_task WHERE attention_since IS NOT NULL ORDER BY id"
        )
        return cursor.fetchall()


def due() -> list[tuple[str, int, bool]]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT task, attempts, asked_in_vain FROM waybill_due_task ORDER BY id")
        return cursor.fetchall()


def shown(order_id) -> bool:
    """What REST says of the payment's need."""
    request = RequestFactory().get("/v1/payments")
    request.auth = Caller("ann", frozenset())
    (one,) = json.loads(api.list_payments(request, order_id=[order_id]).content)["items"]
    return one["needs_attention"]


def marked() -> None:
    wait_until(marks, deadline_seconds=20, what="it needs attention")


def test_calls_that_drip_hold_up_a_healthy_charge_no_longer_than_their_deadline(psp, monkeypatch):
    monkeypatch.setattr(psp, "settings", psp.settings.model_copy(update={"provider_timeout_seconds": 1}))
    slow = [ask("tok_drip") for _ in range(8)]
    with harness.in_use(psp), working():
        wait_until(lambda: due()[0][1], deadline_seconds=20, what="a dripping call is under way")
        healthy, asked_at = ask(), time.monotonic()
        becomes(healthy, "CHARGED")
        assert time.monotonic() - asked_at < 15  # two at a time: 4 seconds; without a deadline, minutes
        for order_id in slow:
            becomes(order_id, "CHARGED")
    assert all(psp.charges(order_id) == [4200] for order_id in [healthy, *slow])


@pytest.mark.slow
def test_a_worker_ends_within_its_bound_though_a_call_drips(psp, tmp_path):
    order_id = ask("tok_drip")
    environment = {
        **os.environ,
        "WAYBILL_DATABASE_URL": psp.database_url,
        "WAYBILL_PROVIDER_URL": psp.settings.provider_url,
        "WAYBILL_PROVIDER_TIMEOUT_SECONDS": "60",
        "WAYBILL_WORKER_ATTEMPT_SECONDS": "60",
        "WAYBILL_WORKER_LEASE_SECONDS": "90",
    }
    port = free_port()
    command = [sys.executable, "-m", "waybill", "payment_service", "worker"]
    with (tmp_path / "worker.log").open("wb") as lines:
        running = subprocess.Popen(
            command, cwd=CHECKOUT, env={**environment, "WAYBILL_PORT": str(port)}, stdout=lines, stderr=lines
        )
        try:
            wait_until(lambda: psp.charges(order_id), deadline_seconds=60, what="the provider has been asked")
            running.terminate()
            told_at = time.monotonic()
            assert running.wait(worker.STOP_SECONDS + 10) == 0
            assert time.monotonic() - told_at >= worker.STOP_SECONDS * 0.9, "it waited for the answer that long"
        finally:
            running.kill()
            running.wait(10)
    said = (tmp_path / "worker.log").read_text()
    assert "attempts left behind" in said
    assert str(order_id) in said
    assert "Traceback" not in said


def test_a_refund_that_fails_for_long_needs_attention_and_none_once_it_is_paid(psp):
    order_id = ask()
    with working():
        becomes(order_id, "CHARGED")
    psp.fault("refund", "error")
    cancel(order_id)
    with working(attention_after=timedelta(0)):
        marked()
        ((task, error, remediation),) = marks()
        assert (task, "500" in error, "the money is owed" in remediation) == ("refund", True, True)
        assert (status(order_id), shown(order_id)) == ("REFUNDING", True)
        psp.fault("refund", None)
        becomes(order_id, "REFUNDED")
    assert (marks(), due(), shown(order_id)) == ([], [], False)
    assert psp.refunds(order_id) == [4200]


@pytest.fixture
def owed(psp):
    """The order of a charge that was given back in part, by hand: the provider refuses the whole refund."""
    order_id = ask()
    with working():
        becomes(order_id, "CHARGED")
        psp.give_back(order_id, 1200)
        cancel(order_id)
        marked()
    return order_id


def settle(psp, order_id, *how: str):
    asked = [str(order_id), "--service", "payment", *how, "--execute", "--reason", "why"]
    return outbox("settle", *asked, **settings(payment=psp.database_url))


def audited() -> list[dict[str, object]]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT what FROM waybill_operator_action WHERE verb = 'settle'")
        return [json.loads(what) for (what,) in cursor.fetchall()]


def test_of_two_operators_who_settle_a_refund_at_once_one_is_refused(psp, owed):
    with ThreadPoolExecutor(2) as operators:
        done = list(operators.map(lambda n: settle(psp, owed, "--paid-elsewhere", f"transfer {n}"), (1, 2)))
    (settled,) = (one for one in done if one.code == 0)
    (refused,) = (one for one in done if one.code == 1)
    assert "only a refund that is still owed can be settled" in refused.err
    row = PaymentRow.objects.get(pk=owed)
    assert (row.status, row.settled_by, row.refund_id in settled.out) == ("REFUNDED", "paid_elsewhere", True)
    (what,) = audited()
    assert (what["aggregate"], what["task"], what["reference"]) == (f"payment/{owed}", "refund", row.refund_id)
    assert marks() == due() == []
    assert psp.refunds(owed) == [1200]


def test_what_cannot_be_put_on_record_is_not_settled(psp, owed, database_server):
    name = psp.database_url.rpartition("/")[2]
    with psycopg.connect(database_server.superuser_url, dbname=name) as owner:
        owner.execute("REVOKE INSERT ON waybill_operator_action FROM test_service")
    done = settle(psp, owed, "--written-off")
    assert (done.code, done.out, len(done.err.splitlines())) == (4, "", 1)
    assert "waybill_operator_action" in done.err
    assert (status(owed), len(marks()), audited()) == ("REFUNDING", 1, [])


def test_another_amount_needs_attention_at_once_until_it_is_given_back_by_hand(psp):
    psp.fault("charge", "wrong_amount")
    order_id = ask()
    with working():
        marked()
        ((task, error, remediation),) = marks()
        assert task == "charge"
        assert f"asked to charge 4200 EUR for {order_id}" in error
        assert "4201 EUR" in error
        assert "records" in remediation
        psp.give_back(order_id)
        becomes(order_id, "DECLINED")
    assert marks() == due() == []


def test_the_age_of_the_first_attempt_is_the_databases_and_past_the_bound_nothing_is_charged(psp):
    psp.fault("charge", "error")
    order_id = ask()
    with working():
        wait_until(lambda: due()[0][1] > 0, deadline_seconds=20, what="attempted")
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE waybill_due_task SET first_attempt_at = first_attempt_at - interval '12 hours', due_at = now()"
        )
    psp.fault("charge", None)
    with working():
        wait_until(lambda: due()[0][2], deadline_seconds=20, what="it was looked up")
    assert (status(order_id), psp.charges(order_id)) == ("REQUESTED", [])
    cancel(order_id)
    with working():
        becomes(order_id, "VOIDED")
        wait_until(lambda: due() == [], deadline_seconds=20, what="nothing is due")
    assert psp.charges(order_id) == []


def test_a_charge_whose_answer_is_lost_while_the_order_is_cancelled_is_refunded(psp):
    psp.fault("charge", "lose")
    order_id = ask()
    with working():
        wait_until(lambda: psp.charges(order_id), deadline_seconds=20, what="charged, unheard")
        cancel(order_id)
        becomes(order_id, "REFUNDED")
        wait_until(lambda: due() == [], deadline_seconds=20, what="nothing is due")
    assert (psp.charges(order_id), psp.refunds(order_id)) == ([4200], [4200])


def test_refunds_and_voids_go_on_while_charges_hang(psp):
    paid = ask()
    with working():
        becomes(paid, "CHARGED")
    psp.fault("charge", "hang")
    hanging = [ask() for _ in range(4)]
    with working():
        wait_until(lambda: sum(n for _, n, _ in due()) >= 2, deadline_seconds=20, what="two charges are under way")
        cancel(paid)
        becomes(paid, "REFUNDED")
        cancel(hanging[0])
        becomes(hanging[0], "VOIDED")
    assert [psp.charges(order_id) for order_id in hanging] == [[], [], [], []]

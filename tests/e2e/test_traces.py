"""One order is one trace, from the request to the mail, over every program that it passes."""

import json
import os
import secrets
import tempfile
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from devstack.harness.stack import Stack, guarded, sent
from devstack.harness.wait import wait_until
from tests.support.otlp import Received, Receiver
from tests.support.scrape import scraped_text
from tests.support.shop import Shop, key

# From the mail back to the request, by parent.
WAY = [
    ("order_service.web", "POST /v1/orders"),
    ("order_service.web", "append OrderPlaced"),
    ("inventory_service.consumer", "process order.events.v1"),
    ("inventory_service.consumer", "append StockReserved"),
    ("order_service.consumer", "process inventory.events.v1"),
    ("order_service.consumer", "append OrderReserved"),
    ("payment_service.consumer", "process order.events.v1"),
    ("payment_service.consumer", "append PaymentRequested"),
    ("payment_service.worker", "attempt charge"),
    ("payment_service.worker", "append PaymentCharged"),
    ("order_service.consumer", "process payment.events.v1"),
    ("order_service.consumer", "append OrderConfirmed"),
    ("notification_service.consumer", "process order.events.v1"),
    ("notification_service.consumer", "append NotificationRequested"),
    ("notification_service.worker", "attempt send"),
    ("notification_service.worker", "send mail"),
]
PUBLISHED = {"OrderPlaced", "StockReserved", "OrderReserved", "PaymentCharged", "OrderConfirmed"}


def way(span: Received, by_id: dict[str, Received]) -> list[Received]:
    """The span's parents, first to last, and itself."""
    found = [span]
    while (parent := by_id.get(found[0].parent_id)) is not None:
        found.insert(0, parent)
    return found


@dataclass(frozen=True)
class Traced:
    """An order, and the spans of its trace."""

    order_id: str
    trace_id: str
    span_id: str
    spans: list[Received]


@pytest.fixture(scope="module")
def traced(shop: Shop, otlp: Receiver) -> Traced:
    """One order that came with a trace, confirmed and mailed."""
    trace_id, span_id = secrets.token_hex(16), secrets.token_hex(8)
    body = {"lines": [{"sku": shop.product(3), "quantity": 1}], "payment_method": "tok_ok"}
    headers = {**key(), "traceparent": f"00-{trace_id}-{span_id}-01"}
    order = sent(shop.customer.post("/v1/orders", json=body, headers=headers), 202)
    assert shop.at_rest(order)["status"] == "CONFIRMED"

    def mailed() -> list[Received]:
        came = otlp.of(trace_id)
        names = {one.name for one in came}
        publications = {one.parent_id for one in came if one.name.startswith("publish ")}
        appended = {one.span_id for one in came if one.name.removeprefix("append ") in PUBLISHED}
        wanted = {*(name for _, name in WAY), *(f"append {event}" for event in PUBLISHED), "append NotificationSent"}
        complete = {one.parent_id for one in came} <= {span_id, *(one.span_id for one in came)}
        return came if wanted <= names and appended <= publications and complete else []

    return Traced(order["id"], trace_id, span_id, shop.until(mailed, "the whole trace has come"))


def test_an_order_is_one_trace_from_the_request_to_the_mail(traced: Traced, shop: Shop, stack: Stack):
    trace_id, span_id, came = traced.trace_id, traced.span_id, traced.spans
    by_id = {one.span_id: one for one in came}
    (mail,) = [one for one in came if one.name == "send mail"]
    hops = way(mail, by_id)
    assert [(one.program, one.name) for one in hops] == WAY
    assert hops[0].parent_id == span_id
    assert [one.began_ns for one in hops] == sorted(one.began_ns for one in hops)
    assert [one for one in came if one.parent_id not in {span_id, *by_id}] == []  # all of it hangs together
    assert not [one for one in came if one.failed]

    # Each public event is published by its service's relay, below the span that appended it.
    for event in PUBLISHED:
        (append,) = [one for one in came if one.name == f"append {event}"]
        (publish,) = [one for one in came if one.parent_id == append.span_id and one.name.startswith("publish ")]
        assert publish.program == append.program.replace(append.program.partition(".")[2], "relay")
        assert append.began_ns <= publish.began_ns <= publish.ended_ns
    # The row, the provider's call, and the statements that a transaction runs.
    names = {(one.program, one.name) for one in came}
    assert {
        ("order_service.web", "handle PlaceOrder"),
        ("order_service.web", "INSERT waybill_outbox"),
        ("payment_service.worker", "POST"),
    } <= names
    assert [one.name for one in way(next(one for one in came if one.name == "POST"), by_id)][-2:] == [
        "attempt charge",
        "POST",
    ]
    told_of = [json.dumps(one.attributes, default=str) for one in came]
    assert not [text for text in told_of if "ann@example.com" in text or "tok_ok" in text]

    def linked() -> bool:
        lines = (stack.home / "log" / "order.web.log").read_text().splitlines()
        return any(f'"trace_id": "{trace_id}"' in line and traced.order_id in line for line in lines)

    shop.until(linked, "the log's lines on the order name the trace")


def test_metrics_have_exemplars_where_openmetrics_is_asked_for(shop: Shop, stack: Stack):
    ports = json.loads((stack.home / "stack.json").read_text())["ports"]
    url = f"http://127.0.0.1:{ports['order.web.health']}"
    trace_id = secrets.token_hex(16)
    sent(shop.customer.get("/v1/orders", headers={"traceparent": f"00-{trace_id}-{secrets.token_hex(8)}-01"}), 200)
    asked = urllib.request.Request(f"{url}/metrics", headers={"Accept": "application/openmetrics-text"})
    with urllib.request.urlopen(asked, timeout=10) as answer:
        assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
        text = answer.read().decode()
    assert f'trace_id="{trace_id}"' in text
    assert text.endswith("# EOF\n")
    assert "trace_id" not in scraped_text(url)


@pytest.mark.slow  # Zipkin's start
def test_the_trace_reads_back_from_the_viewers_api(traced: Traced, otlp: Receiver):
    with tempfile.TemporaryDirectory(prefix="waybill-test-", ignore_cleanup_errors=True) as folder:
        stack = Stack(Path(folder), {**os.environ, "WAYBILL_HOME": folder})
        with guarded(stack):
            try:
                stack.devstack("up", "--only", "otlp,zipkin")
                shown = read_back(stack, traced, otlp)
            finally:
                stack.devstack("reset")
    # Spans that came after the trace was looked at may be there too: the console hears of the order last.
    assert {(one["id"], one.get("parentId")) for one in shown} >= {(one.span_id, one.parent_id) for one in traced.spans}
    by_id = {one["id"]: one for one in shown}
    (mail,) = [one for one in shown if one["name"] == "send mail"]
    found = mail
    for program, name in reversed(WAY):
        assert (found["localEndpoint"]["serviceName"], found["name"]) == (program, name.lower())
        found = by_id.get(found["parentId"], {})
    assert {one.get("tags", {}).get("waybill.aggregate_id") for one in shown} >= {traced.order_id}


def read_back(stack: Stack, traced: Traced, otlp: Receiver) -> list[dict[str, Any]]:
    """What Zipkin's API has of the trace, once its bridge was sent what the session's receiver was."""
    ports = json.loads((stack.home / "stack.json").read_text())["ports"]
    wait_until(
        lambda: answers(f"http://127.0.0.1:{ports['otlp']}/livez"), deadline_seconds=60, what="the bridge answers"
    )
    for body in otlp.requests:
        if bytes.fromhex(traced.trace_id) in body:
            headers = {"Content-Type": "application/x-protobuf"}
            request = urllib.request.Request(f"http://127.0.0.1:{ports['otlp']}/v1/traces", body, headers)
            with urllib.request.urlopen(request, timeout=10) as answer:
                assert answer.status == 200
    url = f"{stack.urls['zipkin']}/api/v2/trace/{traced.trace_id}"

    def whole() -> list[dict[str, Any]]:
        shown = answers(url) or []
        return shown if len(shown) >= len(traced.spans) else []

    return wait_until(whole, deadline_seconds=120, what="Zipkin has the trace")


def answers(url: str) -> Any:
    """The JSON that is there; None while nobody answers."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return json.load(answer)
    except OSError:
        return None

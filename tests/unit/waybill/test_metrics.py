"""Series are there from the start, with labels from closed sets, and a scrape waits for nobody."""

import math
import socket
import time

import pytest
from django.test import RequestFactory
from prometheus_client import REGISTRY

from order_service.service import service
from waybill.database.side_session import SideSession
from waybill.observability import exposure, metrics
from waybill.observability.sampling import Question, Sampler
from waybill.rest import answers
from waybill.rest.middleware import requests


def value(name, **labels):
    return REGISTRY.get_sample_value(name, labels)


def test_a_consumer_shows_its_counters_at_zero_before_it_has_read_anything():
    metrics.expose("consumer", exposure.label_sets(service))
    assert value("consumer_dead_lettered_total", reason="defect") is not None
    known = {"topic": "inventory.events.v1", "type": "waybill.inventory.StockReserved", "outcome": "applied"}
    assert value("consumer_processed_total", **known) is not None
    assert value("aggregate_completion_seconds_count", aggregate_type="order", status="CONFIRMED") is not None
    assert value("aggregate_completion_seconds_count", aggregate_type="order", status="IMPORTED") is None


def test_what_happens_between_two_scrapes_is_counted_in_the_next():
    metrics.expose("consumer", exposure.label_sets(service))
    before = value("consumer_passed_total") or 0
    for _ in range(3):  # nobody scrapes
        metrics.inc("consumer_passed_total")
    assert value("consumer_passed_total") == before + 3


def test_a_program_that_does_not_say_its_label_sets_is_refused():
    with pytest.raises(ValueError, match="say which label sets"):
        metrics.expose("consumer", {})


def test_a_method_that_a_client_made_up_is_counted_as_other():
    def answer(_):
        return answers.answer(200, {})

    requests.request_context(answer)(RequestFactory().generic("BREW", "/coffee"))
    assert value("http_request_seconds_count", method="other", route="unmatched", status="200") == 1
    assert value("http_request_seconds_count", method="BREW", route="unmatched", status="200") is None


def test_a_server_that_accepts_and_says_nothing_delays_a_scrape_for_some_seconds_at_most():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        session = SideSession(f"postgresql://nobody@127.0.0.1:{port}/nothing", "test")
        metrics.expose("worker", exposure.label_sets(service))
        sampler = Sampler("order_service", session, [Question("worker_due", "SELECT 'expire_order', 1")])
        started = time.monotonic()
        sampler.refresh()
        assert time.monotonic() - started < 4
    assert value("waybill_database_up", service="order_service") == 0
    assert math.isnan(value("worker_due", task="expire_order") or 0)

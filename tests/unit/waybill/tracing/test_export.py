"""Spans are sent by a thread of its own; what cannot be sent is dropped and counted, and nothing waits for it."""

import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from prometheus_client import REGISTRY

from devstack.harness.wait import wait_until
from tests.support.otlp import receiving
from waybill.observability import metrics
from waybill.runtime.settings import TelemetryEnvironment
from waybill.tracing import export


class Hanging(SpanExporter):
    """A receiver that takes what it is sent and never answers."""

    def __init__(self):
        self.asked, self.let_go = threading.Event(), threading.Event()

    def export(self, _):
        self.asked.set()
        self.let_go.wait(60)
        return SpanExportResult.SUCCESS


def count(name, **labels):
    return REGISTRY.get_sample_value(name, labels) or 0


@pytest.fixture(autouse=True)
def counters():
    for labels in metrics.SPANS_DROPPED:
        metrics.metric("waybill_spans_dropped_total", **labels)
    metrics.metric("waybill_spans_sent_total")


def tracer_of(queue):
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(queue)
    return provider.get_tracer("test")


def test_a_receiver_that_hangs_delays_nothing_and_what_does_not_fit_is_counted():
    hanging = Hanging()
    queue = export.SpanQueue(hanging, most=10)
    tracer = tracer_of(queue)
    before = count("waybill_spans_dropped_total", reason="queue_full")
    tracer.start_span("first").end()
    queue.force_flush()
    assert hanging.asked.wait(10)  # the first one is on its way, and stays there
    started = time.monotonic()
    for _ in range(25):
        tracer.start_span("any").end()
    assert time.monotonic() - started < 1
    assert count("waybill_spans_dropped_total", reason="queue_full") - before == 15
    started = time.monotonic()
    queue.shutdown()
    assert time.monotonic() - started < export.STOP_SECONDS + 2
    hanging.let_go.set()


def test_what_the_receiver_refuses_is_counted_and_later_spans_are_sent():
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    with receiving() as receiver:
        receiver.status = 400
        queue = export.SpanQueue(OTLPSpanExporter(f"{receiver.url}/v1/traces", timeout=5))
        tracer = tracer_of(queue)
        dropped, sent = count("waybill_spans_dropped_total", reason="not_taken"), count("waybill_spans_sent_total")
        tracer.start_span("refused").end()
        queue.force_flush()
        wait_until(
            lambda: count("waybill_spans_dropped_total", reason="not_taken") == dropped + 1,
            deadline_seconds=20,
            what="the refused span is counted",
        )
        receiver.status = 200
        tracer.start_span("taken").end()
        queue.shutdown()
        assert [one.name for one in receiver.spans] == ["taken"]
        assert count("waybill_spans_sent_total") == sent + 1


def test_a_program_says_which_it_is_and_leaves_no_span_behind_when_it_ends():
    code = "from waybill.runtime.settings import read, TelemetryEnvironment\n"
    code += "from waybill.tracing import export, spans\n"
    code += "export.start('order_service.web', read(TelemetryEnvironment))\n"
    code += "with spans.span('last', root=True): pass"
    with receiving() as receiver:
        for variables in (
            {"WAYBILL_OTLP_ENDPOINT": receiver.url, "WAYBILL_TRACE_RATIO": "1"},
            {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url, "WAYBILL_TRACE_RATIO": "1"},
        ):
            subprocess.run([sys.executable, "-c", code], env={"PATH": "", **variables}, check=True)
            assert [(one.program, one.name) for one in receiver.spans] == [("order_service.web", "last")]
            receiver.spans.clear()
        off = {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url, "WAYBILL_TRACE_RATIO": "1", "OTEL_SDK_DISABLED": "true"}
        subprocess.run([sys.executable, "-c", code], env={"PATH": "", **off}, check=True)
        assert receiver.spans == []


@pytest.mark.parametrize("url", ["collector:4318", "grpc://collector", "http://", "http://a b"])
def test_an_endpoint_that_is_no_url_is_refused(url):
    with pytest.raises(ValueError, match="no base URL"):
        TelemetryEnvironment(otlp_endpoint=url)


def test_an_endpoint_without_the_extra_ends_the_program_with_the_remedy(monkeypatch):
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(SystemExit, match=r"waybill\[telemetry\]"):
        export.start("test", SimpleNamespace(otlp_endpoint="http://127.0.0.1:1", trace_ratio=1))

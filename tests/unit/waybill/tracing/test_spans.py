"""A span is made where a trace is recorded, below what it follows from; all else costs nothing and makes none."""

import json
import subprocess
import sys

import pytest
import structlog
from django.test import RequestFactory
from opentelemetry import trace
from prometheus_client import REGISTRY

from tests.support.program_log import program_log
from tests.support.recorded_spans import SAMPLED, SPAN_ID, TRACE_ID, UNSAMPLED, recording
from waybill.observability import metrics
from waybill.observability.telemetry import Cause
from waybill.rest import http
from waybill.tracing import spans

OTHER = f"00-{'1' * 32}-{'2' * 16}-01"


def test_a_program_without_an_endpoint_imports_no_opentelemetry():
    code = "import sys, waybill.runtime.program, outbox_relay.relay.program.serving, waybill.tracing.messages\n"
    code += "from waybill.runtime.settings import TelemetryEnvironment; from waybill.tracing import export, spans\n"
    code += "export.start('test', TelemetryEnvironment())\n"
    code += "with spans.span('nothing', root=True) as span: assert span is None\n"
    code += "assert spans.current() is None and not any(name.startswith('opentelemetry') for name in sys.modules)"
    subprocess.run([sys.executable, "-c", code], env={"PATH": ""}, check=True)


def test_a_span_is_the_child_of_the_traceparent_given_and_those_within_are_its_own():
    with recording() as kept:
        with spans.span("outer", parent=SAMPLED) as outer, spans.span("inner"):
            here = spans.current()
        inner, ended = kept.get_finished_spans()
    assert (ended.name, f"{ended.context.trace_id:032x}", f"{ended.parent.span_id:016x}") == (
        "outer",
        TRACE_ID,
        SPAN_ID,
    )
    assert inner.parent.span_id == ended.context.span_id
    assert here == spans.traceparent_of(inner)
    assert spans.traceparent_of(outer) == spans.traceparent_of(ended)


@pytest.mark.parametrize(
    "traceparent",
    [
        UNSAMPLED,
        "",
        "00-x",
        f"00-{'0' * 32}-{SPAN_ID}-01",
        f"ff-{TRACE_ID}-{SPAN_ID}-01",
        f"{SAMPLED}\n",
        f"{SAMPLED}-x",
    ],
)
def test_a_trace_that_is_not_recorded_or_is_none_makes_no_span(traceparent):
    with recording(ratio=1) as kept:
        with spans.span("any", parent=traceparent) as span:
            assert span is None
        assert kept.get_finished_spans() == ()


def test_a_span_without_parent_is_made_by_a_root_alone_and_by_the_ratio():
    with recording(ratio=1) as kept:
        with spans.span("poll") as span:
            assert span is None
        with spans.span("request", root=True):
            pass
        assert [one.name for one in kept.get_finished_spans()] == ["request"]
    with recording(ratio=0) as kept:
        with spans.span("request", root=True):
            assert spans.current()[-2:] == "00"  # what follows knows that the trace is not recorded
            with spans.span("below") as below:
                assert below is None
        assert kept.get_finished_spans() == ()


def test_what_joins_traces_is_a_trace_of_its_own_that_is_linked_to_each():
    with recording(ratio=0) as kept:
        with spans.joined("batch", [SAMPLED, OTHER], alone=False) as batch:
            assert spans.current() == batch
        with spans.joined("batch", [SAMPLED], alone=True):
            pass
        with spans.joined("batch", [], alone=True) as nothing:
            assert nothing is None
        joined, alone = kept.get_finished_spans()
    assert [f"{one.context.trace_id:032x}" for one in joined.links] == [TRACE_ID, "1" * 32]
    assert f"{joined.context.trace_id:032x}" not in {TRACE_ID, "1" * 32}
    assert f"{alone.context.trace_id:032x}" == TRACE_ID
    assert not alone.links


def test_an_exception_ends_a_span_as_an_error_and_leaves_its_text_out():
    with recording() as kept:
        with pytest.raises(ValueError, match="ann@example"), spans.span("any", parent=SAMPLED):
            raise ValueError("ann@example.com")
        (failed,) = kept.get_finished_spans()
    assert failed.status.description == failed.attributes["error.type"] == "ValueError"
    assert "ann@" not in failed.to_json()


def test_what_follows_from_an_event_that_is_processed_follows_from_its_span():
    with spans.processing({"e1": OTHER}):
        assert Cause.of_event("e1", {"traceparent": SAMPLED}).traceparent == OTHER
        assert Cause.of_event("e2", {"traceparent": SAMPLED}).traceparent == SAMPLED
    assert Cause.of_event("e1", {"traceparent": SAMPLED}).traceparent == SAMPLED


def test_log_lines_carry_the_ids_of_the_span_that_is_open(capsys):
    with program_log():
        with recording(), spans.span("any", parent=SAMPLED) as span:
            structlog.get_logger().info("within")
            ids = spans.ids(spans.traceparent_of(span))
        structlog.get_logger().info("without")
    within, without = map(json.loads, capsys.readouterr().out.splitlines())
    assert {name: within[name] for name in ids} == ids
    assert ids["trace_id"] == TRACE_ID
    assert "trace_id" not in without


def test_a_slow_bucket_leads_to_its_trace_in_openmetrics_and_nowhere_else():
    sets = [{"task": "traced"}, {"task": "untraced"}]
    metrics.expose("worker", dict.fromkeys(metrics.METRICS, ()) | {"worker_attempt_seconds": sets})
    with recording(), spans.span("any", parent=SAMPLED):
        metrics.observe("worker_attempt_seconds", 3, task="traced")
    metrics.observe("worker_attempt_seconds", 3, UNSAMPLED, task="untraced")
    kind, text = metrics.scraped("application/openmetrics-text; version=1.0.0")
    assert kind.startswith("application/openmetrics-text")
    exemplars = [line for line in text.decode().splitlines() if f'trace_id="{TRACE_ID}"' in line]
    assert len(exemplars) == 1
    assert exemplars[0].startswith('worker_attempt_seconds_bucket{le="5.0",task="traced"}')
    kind, text = metrics.scraped()
    assert kind.startswith("text/plain")
    assert b"trace_id" not in text
    assert REGISTRY.get_sample_value("worker_attempt_seconds_count", {"task": "untraced"}) == 1


def test_a_trace_that_began_here_and_is_not_recorded_travels_with_no_event():
    unsampled = trace.NonRecordingSpan(trace.SpanContext(int(TRACE_ID, 16), 1, is_remote=False))
    came = {"HTTP_TRACEPARENT": f"{SAMPLED[:-1]}0"}
    with trace.use_span(unsampled):
        assert http._trace(RequestFactory().get("/")) == {}
        assert http._trace(RequestFactory().get("/", **came))["traceparent"] == spans.current()
    assert http._trace(RequestFactory().get("/", **came)) == {"traceparent": came["HTTP_TRACEPARENT"]}

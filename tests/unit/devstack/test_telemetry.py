"""The bridge's conversion, and which parts of telemetry a stack has."""

import json

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider

from devstack import parts, stack
from devstack.cache import debian
from devstack.errors import DevstackError
from devstack.folder import Folder
from devstack.infrastructure import memory
from devstack.simulators.http_server import Request
from devstack.telemetry import bridge, metrics_store
from devstack.telemetry.zipkin_spans import converted
from tests.support.otlp import receiving
from waybill.tracing import export, spans


def sent() -> bytes:
    """What the exporter sends of a request's span and of one within that failed."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    with receiving() as receiver:
        queue = export.SpanQueue(OTLPSpanExporter(f"{receiver.url}/v1/traces"))
        provider = TracerProvider(
            sampler=export.sampler(1), resource=Resource({"service.name": "order_service.web"}), shutdown_on_exit=False
        )
        provider.add_span_processor(queue)
        spans.use(provider.get_tracer("test"))
        try:
            with spans.span("GET /v1/things", "server", {"http.response.status_code": 200}, root=True) as outer:
                with spans.span("GET", "client") as inner:
                    spans.fail(inner, "503")
                spans.link(outer, f"00-{'1' * 32}-{'2' * 16}-01")
        finally:
            spans.use(None)
        queue.shutdown()
        return b"".join(receiver.requests)


def test_a_span_keeps_its_place_its_kind_its_error_and_its_links_in_zipkins_form():
    inner, outer = converted(sent())
    assert (outer["name"], outer["kind"], outer["localEndpoint"]) == (
        "GET /v1/things",
        "SERVER",
        {"serviceName": "order_service.web"},
    )
    assert "parentId" not in outer
    assert (inner["parentId"], inner["traceId"], inner["kind"]) == (outer["id"], outer["traceId"], "CLIENT")
    assert inner["tags"] == {"error.type": "503", "error": "503"}
    assert outer["tags"] == {"http.response.status_code": "200", "link.0": f"{'1' * 32}/{'2' * 16}"}
    assert outer["timestamp"] <= inner["timestamp"] <= outer["timestamp"] + outer["duration"]


def test_the_bridge_takes_what_is_otlp_until_its_queue_is_full():
    body, bridged = sent(), bridge.Bridge("http://127.0.0.1:1")

    def post(content: bytes, path: str = "/v1/traces") -> int:
        return bridged.answer(Request("POST", path, {}, {}, content)).status

    assert post(body) == 200
    assert post(b"\xff\xff") == 400
    assert post(body, "/v1/metrics") == 404
    assert [post(body) for _ in range(bridge.MOST_WAITING)][-1] == 503
    assert not bridged.taken(b"[]")  # nobody answers there: they wait


def test_telemetry_is_of_a_whole_stack_and_of_one_that_names_it_and_can_be_left_out():
    assert set(parts.select("", telemetry=True)) - set(parts.names()) == set(parts.TELEMETRY)
    assert parts.select("") == parts.names()
    assert not set(parts.select("order", telemetry=True)) & set(parts.TELEMETRY)
    assert parts.select("otlp,zipkin") == ("otlp", "zipkin")


def test_what_cannot_be_had_is_said_and_left_out(monkeypatch, capsys):
    def unreachable(_):
        raise DevstackError("cannot fetch zipkin: no connection")

    monkeypatch.setattr(stack.artifacts, "fetch", unreachable)
    monkeypatch.setattr(debian, "program", lambda _: None)
    assert stack.telemetry_homes(parts.TELEMETRY) == {}
    said = capsys.readouterr()
    assert "no trace viewer: cannot fetch zipkin" in said.out + said.err
    assert "no metrics store" in said.out + said.err
    monkeypatch.setattr(memory, "available_mb", lambda: 100)
    assert not stack.fits_beside(parts.TELEMETRY)


def test_programs_are_told_where_spans_go_where_there_is_a_viewer_alone(monkeypatch, tmp_path):
    monkeypatch.delenv("WAYBILL_OTLP_ENDPOINT", raising=False)
    ports = {"order.web": 1, "order.web.health": 2, "order.relay": 4}
    secrets = {f"order_{role}": "x" for role in ("owner", "service", "relay")} | {"postgres": "x"}
    without = parts.Site(ports=ports, secrets=secrets, jwks_file=tmp_path, data=tmp_path)
    beside = parts.Site(ports=ports | {"otlp": 3}, secrets=secrets, jwks_file=tmp_path, data=tmp_path)
    assert "WAYBILL_OTLP_ENDPOINT" not in parts.service_environment(without, "order", "web")
    told = parts.service_environment(beside, "order", "web")
    assert (told["WAYBILL_OTLP_ENDPOINT"], told["WAYBILL_TRACE_RATIO"]) == ("http://127.0.0.1:3", "1")
    assert "WAYBILL_OTLP_ENDPOINT" not in parts.service_environment(beside, "order", "migrate")
    monkeypatch.setenv("WAYBILL_OTLP_ENDPOINT", "http://collector:4318")  # a collector of one's own
    assert "WAYBILL_OTLP_ENDPOINT" not in parts.service_environment(beside, "order", "web")


def test_every_program_is_scraped_where_it_tells_of_itself(tmp_path):
    folder = Folder(tmp_path)
    folder.data.mkdir()
    site = parts.Site(
        ports={"order.web": 1, "order.web.health": 2, "order.relay": 3},
        secrets={},
        jwks_file=tmp_path,
        data=folder.data,
    )
    metrics_store.prepare(site, folder, ["order.web", "order.relay"])
    written = json.loads(metrics_store.config_file(folder).read_text())
    assert [(one["job_name"], one["static_configs"][0]["targets"]) for one in written["scrape_configs"]] == [
        ("web", ["127.0.0.1:2"]),
        ("relay", ["127.0.0.1:3"]),
    ]

"""OTLP's spans as Zipkin's API takes them (v2, JSON). Zipkin knows no links: they become tags."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

if TYPE_CHECKING:
    from collections.abc import Iterable

KINDS = {
    Span.SPAN_KIND_SERVER: "SERVER",
    Span.SPAN_KIND_CLIENT: "CLIENT",
    Span.SPAN_KIND_PRODUCER: "PRODUCER",
    Span.SPAN_KIND_CONSUMER: "CONSUMER",
}


def converted(body: bytes) -> list[dict[str, Any]]:
    """Return the spans of a request's body.

    Raises:
        google.protobuf.message.DecodeError: it is no request of OTLP.

    """
    found: list[dict[str, Any]] = []
    for group in ExportTraceServiceRequest.FromString(body).resource_spans:
        program = tags(group.resource.attributes).get("service.name", "unknown")
        found += [span_of(one, program) for scope in group.scope_spans for one in scope.spans]
    return found


def span_of(span: Any, program: str) -> dict[str, Any]:
    """Return one span; times in microseconds, as Zipkin has them."""
    links = {f"link.{n}": f"{one.trace_id.hex()}/{one.span_id.hex()}" for n, one in enumerate(span.links)}
    failed = {"error": span.status.message or "error"} if span.status.code == Status.STATUS_CODE_ERROR else {}
    found = {
        "traceId": span.trace_id.hex(),
        "id": span.span_id.hex(),
        "name": span.name,
        "timestamp": span.start_time_unix_nano // 1_000,
        "duration": max(1, (span.end_time_unix_nano - span.start_time_unix_nano) // 1_000),
        "localEndpoint": {"serviceName": program},
        "tags": tags(span.attributes) | links | failed,
    }
    if span.parent_span_id:
        found["parentId"] = span.parent_span_id.hex()
    if span.kind in KINDS:
        found["kind"] = KINDS[span.kind]
    return found


def tags(attributes: Iterable[Any]) -> dict[str, str]:
    """Return attributes as texts, which is all that Zipkin's tags can be."""
    return {one.key: text(one.value) for one in attributes}


def text(value: Any) -> str:
    """Return one value as text."""
    kind = value.WhichOneof("value")
    if kind == "bool_value":
        return str(value.bool_value).lower()
    return str(getattr(value, kind)) if kind else ""

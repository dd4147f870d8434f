"""Spans of this process, kept in memory by OpenTelemetry's SDK as the programs set it up."""

from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from waybill.tracing import export, spans

TRACE_ID, SPAN_ID = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SAMPLED, UNSAMPLED = f"00-{TRACE_ID}-{SPAN_ID}-01", f"00-{TRACE_ID}-{SPAN_ID}-00"


@contextmanager
def recording(ratio: float = 0) -> Iterator[InMemorySpanExporter]:
    """Make spans in this process; `ratio` of what begins a trace."""
    kept = InMemorySpanExporter()
    provider = TracerProvider(sampler=export.sampler(ratio), shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(kept))
    spans.use(provider.get_tracer("test"))
    try:
        yield kept
    finally:
        spans.use(None)

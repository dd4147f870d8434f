"""OpenTelemetry's SDK in a program, and the queue of spans that are to be sent.

It starts in the process that serves. Sampling is parent-based: who is traced already stays so, a request that comes
without a trace begins one by the ratio of the settings, and what joins several traces is recorded where one of them is.

Nothing that a program does waits for a span to be sent. The queue is bounded, and what does not fit, or is not taken,
is dropped and counted. OpenTelemetry's own queue logs a line for each, counts none, and may hold a stop for 30 s.
"""

import atexit
import logging
import os
import threading
from collections import deque
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final

import structlog

from waybill.observability import metrics
from waybill.runtime.settings import TelemetryEnvironment
from waybill.tracing import spans

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.sampling import Sampler

log: structlog.stdlib.BoundLogger = structlog.get_logger()

STANDARD: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
MOST_WAITING: Final = 4_096
AT_ONCE: Final = 512  # with the texts of their statements well below what receivers take in a request
EVERY_SECONDS: Final = 5.0  # each program sends requests of its own, and one costs more than the spans in it
SEND_SECONDS: Final = 5.0  # its tries included; a receiver that hangs costs spans, and nothing else
STOP_SECONDS: Final = 1.5


def start(program: str, settings: TelemetryEnvironment) -> None:
    """Make spans from now on, where an endpoint is set; once a process. Raises SystemExit without the extra."""
    own = settings.otlp_endpoint
    if own is None and not any(os.environ.get(name) for name in STANDARD):
        return
    if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
    except ImportError:
        if own is not None:
            raise SystemExit("WAYBILL_OTLP_ENDPOINT: traces need an extra: pip install 'waybill[telemetry]'") from None
        log.warning("no traces", reason="an OTLP endpoint is set, and waybill[telemetry] is not installed")
        return

    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)  # a line a batch; the queue says it once
    exporter = OTLPSpanExporter(f"{own.rstrip('/')}/v1/traces" if own else None, timeout=SEND_SECONDS)
    resource = Resource.create({"service.name": program, "service.version": version("waybill")})
    provider = TracerProvider(sampler=sampler(settings.trace_ratio), resource=resource, shutdown_on_exit=False)
    queue = SpanQueue(exporter)
    provider.add_span_processor(queue)  # pyright: ignore[reportArgumentType] - its Protocol is a class there
    spans.use(provider.get_tracer("waybill"))
    atexit.register(queue.shutdown)


def sampler(ratio: float) -> "Sampler":
    """Return what decides which traces are recorded."""
    from opentelemetry.sdk.trace.sampling import Decision, ParentBased, SamplingResult, TraceIdRatioBased

    class Root(TraceIdRatioBased):
        """The ratio, and whatever is linked to a trace that is recorded."""

        def should_sample(  # noqa: PLR0913, PLR0917 - the SDK's signature
            self,
            parent_context: Any,
            trace_id: int,
            name: str,
            kind: Any = None,
            attributes: Any = None,
            links: Any = None,
            trace_state: Any = None,
        ) -> SamplingResult:
            if any(link.context.trace_flags.sampled for link in links or ()):
                return SamplingResult(Decision.RECORD_AND_SAMPLE, attributes)
            return super().should_sample(parent_context, trace_id, name, kind, attributes, links, trace_state)

    return ParentBased(Root(ratio))


class SpanQueue:
    """Spans that have ended, sent by a thread of its own; a span processor of OpenTelemetry's SDK."""

    def __init__(self, exporter: Any, most: int = MOST_WAITING) -> None:
        """Begin to wait for spans."""
        self._exporter, self._most = exporter, most
        self._waiting: deque[Any] = deque()
        self._wake, self._stopping, self._failing = threading.Event(), threading.Event(), False
        self._thread = threading.Thread(target=self._send_on, name="spans", daemon=True)
        self._thread.start()

    def on_start(self, span: Any, parent_context: Any = None) -> None:
        """Do nothing."""

    def _on_ending(self, span: Any) -> None:
        """Do nothing."""

    def on_end(self, span: Any) -> None:
        """Take a span that has ended; never blocks."""
        if not span.context.trace_flags.sampled:
            return
        if self._stopping.is_set() or len(self._waiting) >= self._most:
            metrics.inc("waybill_spans_dropped_total", reason="queue_full")
            return
        self._waiting.append(span)
        if len(self._waiting) >= AT_ONCE:
            self._wake.set()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:  # noqa: ARG002 - the SDK's signature
        """Ask for what waits to be sent now; waits for nothing."""
        self._wake.set()
        return not self._waiting

    def shutdown(self) -> None:
        """Send what waits, for STOP_SECONDS at most; what is left is dropped."""
        self._stopping.set()
        self._wake.set()
        self._thread.join(STOP_SECONDS)
        self._exporter.shutdown()

    def _send_on(self) -> None:
        while not self._stopping.is_set():
            self._wake.wait(EVERY_SECONDS)
            self._wake.clear()
            self._send_waiting()
        self._send_waiting()

    def _send_waiting(self) -> None:
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(AT_ONCE, len(self._waiting)))]
            try:
                taken = self._exporter.export(batch).name == "SUCCESS"
            except Exception:  # noqa: BLE001 - whatever it is, these spans are lost and nothing else is
                taken = False
            if taken:
                metrics.inc("waybill_spans_sent_total", len(batch))
            else:
                metrics.inc("waybill_spans_dropped_total", len(batch), reason="not_taken")
            if taken == self._failing:
                self._failing = not taken
                (log.info if taken else log.warning)("spans taken again" if taken else "spans not taken")

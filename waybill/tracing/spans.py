"""Spans, where this process makes them; nothing, at the cost of a comparison, where it does not.

A trace follows the cause of an event (observability/telemetry.py): each event is appended within a span of its own,
whose `traceparent` stands in the outbox's metadata and in the record's headers, so that whatever the event leads to
becomes the child of it, in whichever program. The relay's span has the same parent: the record is what the outbox holds
and does not change with who publishes it.

    POST /v1/…          request                          web
    handle …            one transaction, its statements  web, consumer, worker
    append …            event row, from insert to commit web, consumer, worker
    publish topic       from hand-over to acknowledged   relay
    process topic       a message, with its transaction  consumer
    attempt …           a due row                        worker
    POST, send mail     a call to the outside            worker

A transaction of many messages belongs to no trace of theirs: it gets a trace of its own, and links lead from it to all
of them and back. A span that would be a trace of its own is made for requests alone, so polls make none.

OpenTelemetry is imported once `use` was called, and by nothing else here.
"""

import re
import sys
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final, Literal

Kind = Literal["internal", "server", "client", "producer", "consumer"]
Attributes = Mapping[str, str | int | float | bool | None]  # None: is not set
Span = Any  # opentelemetry.trace.Span, which is an extra

TRACEPARENT: Final = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_SAMPLED: Final = frozenset("13579bdf")  # the last bit of its flags

_tracer: Any = None
_processing: ContextVar[Mapping[str, str]] = ContextVar("waybill_processing")


def use(tracer: Any) -> None:
    """Make spans with this tracer from now on; None: make none."""
    global _tracer  # noqa: PLW0603 - one a process, as OpenTelemetry's own provider
    _tracer = tracer


def is_on() -> bool:
    """Tell whether this process makes spans."""
    return _tracer is not None


def is_recording() -> bool:
    """Tell whether a span is open here, and is recorded."""
    if _tracer is None:
        return False
    from opentelemetry import trace

    return trace.get_current_span().is_recording()


def is_sampled(traceparent: str | None) -> bool:
    """Tell whether a trace is recorded, by its `traceparent`; anybody may have written that."""
    return bool(traceparent) and traceparent[-1] in _SAMPLED and TRACEPARENT.fullmatch(traceparent) is not None


def current() -> str | None:
    """Return the `traceparent` of the span that is open here, also of one that another library opened."""
    trace = sys.modules.get("opentelemetry.trace")
    return None if trace is None else traceparent_of(trace.get_current_span())


def traceparent_of(span: Span) -> str | None:
    """Return a span's `traceparent`; None where it has no valid one."""
    found = span.get_span_context()
    if not found.is_valid:
        return None
    return f"00-{found.trace_id:032x}-{found.span_id:016x}-{found.trace_flags & 1:02x}"


def ids(traceparent: str | None) -> dict[str, str]:
    """Return `trace_id` and `span_id` as logs and exemplars name them; nothing of what is no traceparent."""
    if traceparent is None or not TRACEPARENT.fullmatch(traceparent):
        return {}
    return {"trace_id": traceparent[3:35], "span_id": traceparent[36:52]}


def begin(  # noqa: PLR0913 - what a span of OpenTelemetry has
    name: str,
    kind: Kind = "internal",
    *,
    parent: str | None = None,
    links: Iterable[str] = (),
    root: bool = False,
    started_ns: int | None = None,
    attributes: Attributes | None = None,
) -> Span | None:
    """Begin a span that the caller ends; None where it is not recorded.

    Its parent is the `traceparent` given, else the span that is open here. Without both it is begun where it is told to
    be a `root`, which begins a trace, sampled by the ratio of the settings.
    """
    if _tracer is None:
        return None
    from opentelemetry import trace

    if parent is not None:
        if not is_sampled(parent):
            return None
        context = trace.set_span_in_context(trace.NonRecordingSpan(_context_of(parent)))
    elif root or is_recording():
        context = None
    else:
        return None
    return _tracer.start_span(
        name,
        context,
        trace.SpanKind[kind.upper()],
        {name: value for name, value in (attributes or {}).items() if value is not None},
        [trace.Link(_context_of(one)) for one in links],
        started_ns,
    )


def _context_of(traceparent: str) -> Any:
    from opentelemetry.trace import SpanContext, TraceFlags

    _, trace_id, span_id, flags = traceparent.split("-")
    return SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=TraceFlags(int(flags, 16) & 1))


@contextmanager
def span(
    name: str,
    kind: Kind = "internal",
    attributes: Attributes | None = None,
    *,
    parent: str | None = None,
    root: bool = False,
) -> Generator[Span | None]:
    """Have a span open for the block, below the one that is open; yields it, or None where it is not recorded.

    `parent`: a `traceparent` to be below in its place; `root`: begin a trace where there is neither. An exception ends
    the span as an error. What it is about stands in `attributes`: no personal data, since traces go elsewhere.
    """
    begun = None if _tracer is None else begin(name, kind, parent=parent, root=root, attributes=attributes)
    if begun is None:
        yield None
        return
    with opened(begun):
        yield begun


@contextmanager
def opened(begun: Span | None, *, end: bool = True) -> Generator[None]:
    """Have a span that was begun open for the block; it ends there, unless told otherwise."""
    if begun is None:
        yield
        return
    from opentelemetry import trace

    with trace.use_span(begun, end_on_exit=end, record_exception=False, set_status_on_exception=False):
        try:
            yield
        except BaseException as error:
            fail(begun, error)
            raise


def fail(begun: Span, error: BaseException | str) -> None:
    """Mark a span as failed. Only the error's class is told: its text may hold what a trace is not for."""
    from opentelemetry.trace import Status, StatusCode

    kind = error if isinstance(error, str) else type(error).__name__
    begun.set_attribute("error.type", kind)
    begun.set_status(Status(StatusCode.ERROR, kind))


def link(begun: Span, traceparent: str) -> None:
    """Link a span to another one."""
    begun.add_link(_context_of(traceparent))


@contextmanager
def joined(
    name: str, parents: Sequence[str], *, alone: bool, attributes: Attributes | None = None
) -> Generator[str | None]:
    """Have a span open for what is done at once for several traces: below the only one, or a linked trace of its own.

    `parents`: what is sampled of what is done; `alone`: nothing else is done with it. Yields its `traceparent`.
    """
    if _tracer is None or not parents:
        yield None
        return
    if alone:
        begun = begin(name, parent=parents[0], attributes=attributes)
    else:
        begun = begin(name, links=parents, root=True, attributes=attributes)
    with opened(begun):
        yield None if begun is None else traceparent_of(begun)


@contextmanager
def processing(traceparents: Mapping[str, str]) -> Generator[None]:
    """Let what follows from these events, by their ids, be caused by the spans that process them."""
    token = _processing.set(traceparents)
    try:
        yield
    finally:
        _processing.reset(token)


def continued(event_id: str, traceparent: str | None) -> str | None:
    """Return what an event's effects have as parent: the span that processes it, else what came with it."""
    return _processing.get({}).get(event_id, traceparent)

"""One JSON line per log event, and the thread of causes that runs from a request through every event it leads to."""

import json
import logging
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import structlog
import uuid_utils

from waybill.secret_settings import without_passwords
from waybill.tracing import spans

# Without the values of local variables: they hold personal data, and fill pages.
TRACEBACKS = structlog.processors.ExceptionRenderer(
    structlog.tracebacks.ExceptionDictTransformer(show_locals=False, max_frames=20)
)


LONGEST_HEADER = 512  # characters of tracestate at most, by W3C Trace Context; the others are shorter


@dataclass(frozen=True, slots=True)
class Cause:
    """Say what led to an event; travels in the outbox's metadata and in the record's headers.

    `replay_id` names the replay that an event comes from, unless that replay asked for outside effects (mail) too: what
    follows from it tells nobody.
    """

    correlation_id: str
    causation_id: str | None = None
    request_id: str | None = None
    actor: str | None = None
    traceparent: str | None = None
    tracestate: str | None = None
    replay_id: str | None = None

    def metadata(self) -> dict[str, str]:
        """Return what is known, ready for JSON."""
        return {name: value for name in self.__slots__ if (value := getattr(self, name)) is not None}

    @classmethod
    def of_event(cls, event_id: str, headers: Mapping[str, str]) -> "Cause":
        """Return the cause of whatever a received event leads to; headers that are too long are not passed on."""
        replay_id = headers["ce_replayid"][:LONGEST_HEADER] if "ce_replayid" in headers else None
        bounded = {name: value for name, value in headers.items() if len(value) <= LONGEST_HEADER}
        return cls(
            correlation_id=bounded.get("ce_correlationid", event_id),
            causation_id=event_id,
            traceparent=spans.continued(event_id, bounded.get("traceparent")),
            tracestate=bounded.get("tracestate"),
            replay_id=None if headers.get("ce_replayeffects") == "true" else replay_id,
        )


_current: ContextVar[Cause | None] = ContextVar("waybill_cause", default=None)


def current() -> Cause:
    """Return what led to what is done here: a received event, where a handler runs; else something new begins."""
    return known() or Cause(correlation_id=new_id(), traceparent=spans.current())


def known() -> Cause | None:
    """Return what led to what is done here; None where something new begins."""
    return _current.get()


@contextmanager
def caused_by(cause: Cause) -> Generator[None]:
    """Let events that are appended meanwhile tell this as their cause."""
    token = _current.set(cause)
    try:
        yield
    finally:
        _current.reset(token)


def new_id() -> str:
    """Return a new UUIDv7."""
    return str(uuid_utils.uuid7())


def _line(entry: structlog.typing.EventDict, **options: Any) -> str:
    """Return the entry as JSON in printable ASCII; DEL is the one control character that JSON leaves as it is."""
    return without_passwords(json.dumps(entry, **options).replace("\x7f", "\\u007f"))


def configure_logging(program: str, level: str = "info") -> None:
    """Send every log event of this process, the libraries' too, to stdout as JSON lines."""

    def name_program(_logger: object, _method: str, line: structlog.typing.EventDict) -> structlog.typing.EventDict:
        # In every thread, which a context variable would not reach.
        return {"program": program, **spans.ids(spans.current()), **line}

    shared: list[structlog.typing.Processor] = [
        name_program,
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        TRACEBACKS,
    ]
    threshold = logging.getLevelNamesMapping().get(level.upper(), logging.INFO)
    structlog.configure(
        processors=[*shared, structlog.processors.JSONRenderer(_line)],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.WriteLoggerFactory(sys.stdout),  # a line is one write: threads cannot tear it
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(_line),
            ],
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
        )
    )
    for name in ("django.request", "django.security"):  # each answer has a line of ours
        logging.getLogger(name).setLevel(logging.CRITICAL)
    logging.basicConfig(level=max(threshold, logging.WARNING), handlers=[handler], force=True)

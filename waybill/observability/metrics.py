"""Every metric there is: kind, programs, labels, meaning. A name that is not here does not type-check.

A program exposes all of its metrics from its start: `expose` registers them, counters at 0, with every label value that
is known beforehand, so that a rate or an increase sees the first event too. A gauge whose value stands in the database
is asked for when the metrics are scraped (sampling.py) and is NaN while the database does not answer: an age that
nobody knows is never shown as the last one known.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final, Literal

from prometheus_client import REGISTRY, Counter, Gauge, Histogram, exposition
from prometheus_client.metrics import MetricWrapperBase

from waybill.tracing import spans

Program = Literal["web", "consumer", "worker", "relay", "shadow", "gate"]
LabelSets = Iterable[Mapping[str, str]]

WEB: Final[tuple[Program, ...]] = ("web",)
CONSUMER: Final[tuple[Program, ...]] = ("consumer",)
WORKER: Final[tuple[Program, ...]] = ("worker",)
RELAY: Final[tuple[Program, ...]] = ("relay",)
SHADOW: Final[tuple[Program, ...]] = ("shadow",)
GATE: Final[tuple[Program, ...]] = ("gate",)
DECIDING: Final[tuple[Program, ...]] = ("web", "consumer", "worker")
LOOPING: Final[tuple[Program, ...]] = ("consumer", "worker", "relay")
EVERY: Final[tuple[Program, ...]] = ("web", "consumer", "worker", "relay")

SPANS_DROPPED: Final = ({"reason": "queue_full"}, {"reason": "not_taken"})

Name = Literal[
    "aggregate_completion_seconds",
    "aggregate_open",
    "consumer_dead_lettered_total",
    "consumer_dead_letters",
    "consumer_lag_seconds",
    "consumer_missing_records",
    "consumer_passed_total",
    "consumer_processed_total",
    "consumer_stopped",
    "gate_answer_seconds",
    "gate_answers_total",
    "gate_waiting",
    "http_rate_limit_report_failures_total",
    "http_refused_total",
    "http_request_seconds",
    "outbox_commit_to_ack_seconds",
    "outbox_dead_letters",
    "outbox_gap_seconds",
    "outbox_heartbeat_seconds",
    "outbox_oldest_unpublished_seconds",
    "outbox_publish_failures_total",
    "outbox_published_total",
    "outbox_records_without_event",
    "outbox_relay_leader",
    "shadow_answer_seconds",
    "shadow_comparisons_total",
    "shadow_control_failures_total",
    "shadow_pending",
    "waybill_build_info",
    "waybill_database_up",
    "waybill_spans_dropped_total",
    "waybill_spans_sent_total",
    "waybill_table_bytes",
    "waybill_table_rows",
    "waybill_waiting",
    "worker_attempt_seconds",
    "worker_attempts_total",
    "worker_attention_seconds",
    "worker_breaker_open",
    "worker_due",
    "worker_due_oldest_seconds",
]


@dataclass(frozen=True, slots=True)
class Metric:
    """Describe one metric."""

    kind: type[Counter | Gauge | Histogram]
    programs: tuple[Program, ...]
    meaning: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = Histogram.DEFAULT_BUCKETS


METRICS: dict[Name, Metric] = {
    "aggregate_completion_seconds": Metric(
        Histogram,
        DECIDING,
        "From an aggregate's first event to the one that ended it, by the status it ended in.",
        ("aggregate_type", "status"),
        buckets=(0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 3600, 86400),
    ),
    "aggregate_open": Metric(
        Gauge,
        WEB,
        "Aggregates that have not ended, by status; 10,000 of a type are counted at most.",
        ("aggregate_type", "status"),
    ),
    "consumer_dead_lettered_total": Metric(
        Counter, CONSUMER, "Messages that became dead letters since the start.", ("reason",)
    ),
    "consumer_dead_letters": Metric(
        Gauge, CONSUMER, "Messages that wait as dead letters; 10,000 are counted at most.", ("reason",)
    ),
    "consumer_lag_seconds": Metric(
        Gauge,
        CONSUMER,
        "Age of the last message read; 0 where all are handled, NaN while the broker does not answer.",
        ("topic",),
    ),
    "consumer_missing_records": Metric(
        Gauge,
        CONSUMER,
        "Offsets that the consumer never saw and nobody has acknowledged; 1 where nobody knows how many.",
        ("topic", "partition"),
    ),
    "consumer_passed_total": Metric(
        Counter, CONSUMER, "Messages that nobody here reacts to, or meant for another group."
    ),
    "consumer_processed_total": Metric(Counter, CONSUMER, "Messages handled.", ("topic", "type", "outcome")),
    "consumer_stopped": Metric(
        Gauge,
        CONSUMER,
        "1 while the consumer stands still: too many keys would have dead letters, or it cannot keep one.",
    ),
    "gate_answer_seconds": Metric(
        Histogram, GATE, "Time until the gateway was told where a request goes, holds included.", ("aggregate",)
    ),
    "gate_answers_total": Metric(
        Counter,
        GATE,
        "Requests that the gateway asked about, by the owner it was told or the reason why none.",
        ("aggregate", "answer"),
    ),
    "gate_waiting": Metric(Gauge, GATE, "Requests that are held until the owner of their rows is settled."),
    "http_rate_limit_report_failures_total": Metric(
        Counter, WEB, "Times that the database did not take the callers' counts; each process goes by its own then."
    ),
    "http_refused_total": Metric(
        Counter,
        (*WEB, *SHADOW, *GATE),
        "Requests that were answered before an endpoint was reached, to protect the others.",
        ("reason",),
    ),
    "http_request_seconds": Metric(Histogram, WEB, "Time to answer a request.", ("method", "route", "status")),
    "outbox_commit_to_ack_seconds": Metric(
        Histogram, RELAY, "From the row's time to the broker's acknowledgement.", ("service",)
    ),
    "outbox_dead_letters": Metric(
        Gauge,
        RELAY,
        "Publications that the broker refused and that wait for a redrive; 10,000 are counted at most.",
        ("service", "reason"),
    ),
    "outbox_gap_seconds": Metric(
        Gauge, RELAY, "Age of the oldest position that may still be committed; 0 where there is none.", ("service",)
    ),
    "outbox_heartbeat_seconds": Metric(Gauge, RELAY, "Age of the leader's last heartbeat.", ("service",)),
    "outbox_oldest_unpublished_seconds": Metric(
        Gauge, RELAY, "Age of the oldest visible row without acknowledgement; 0 where there is none.", ("service",)
    ),
    "outbox_publish_failures_total": Metric(Counter, RELAY, "Failed deliveries.", ("service", "reason")),
    "outbox_published_total": Metric(Counter, RELAY, "Records acknowledged by the broker.", ("service", "topic")),
    "outbox_records_without_event": Metric(
        Gauge,
        RELAY,
        "Records on the service's topics whose event its outbox does not have, found as this relay began to lead.",
        ("service",),
    ),
    "outbox_relay_leader": Metric(
        Gauge, RELAY, "1 where this relay leads its database, 0 where it stands by.", ("service",)
    ),
    "shadow_answer_seconds": Metric(
        Histogram, SHADOW, "Time for a whole answer of the candidate and of the second control.", ("route", "side")
    ),
    "shadow_comparisons_total": Metric(
        Counter, SHADOW, "Requests chosen to be compared, by what came of it.", ("route", "outcome")
    ),
    "shadow_control_failures_total": Metric(
        Counter, SHADOW, "Requests that the control did not answer, or broke off answering.", ("reason",)
    ),
    "shadow_pending": Metric(Gauge, SHADOW, "Comparisons that are captured, wait or are in work."),
    "waybill_build_info": Metric(Gauge, (*EVERY, *SHADOW, *GATE), "1; the version stands in the label.", ("version",)),
    "waybill_database_up": Metric(
        Gauge, EVERY, "1 where the program's database answered when last asked, and takes writes.", ("service",)
    ),
    "waybill_spans_dropped_total": Metric(
        Counter, EVERY, "Spans that were dropped: the queue was full, or the receiver did not take them.", ("reason",)
    ),
    "waybill_spans_sent_total": Metric(Counter, EVERY, "Spans that the receiver took."),
    "waybill_table_bytes": Metric(Gauge, RELAY, "Size of a table with its indexes.", ("service", "table")),
    "waybill_table_rows": Metric(
        Gauge, RELAY, "Rows of a table, as PostgreSQL last estimated them.", ("service", "table")
    ),
    "waybill_waiting": Metric(
        Gauge, LOOPING, "1 while the program does not do its work because of that part.", ("service", "part")
    ),
    "worker_attempt_seconds": Metric(Histogram, WORKER, "How long an attempt took, whatever its outcome.", ("task",)),
    "worker_attempts_total": Metric(Counter, WORKER, "Attempts at due rows.", ("task", "outcome")),
    "worker_attention_seconds": Metric(
        Gauge, WORKER, "How long the first of the due rows has needed attention; 0 where none does.", ("task",)
    ),
    "worker_breaker_open": Metric(
        Gauge, WORKER, "1 while the circuit breaker of that task's calls is open.", ("task",)
    ),
    "worker_due": Metric(
        Gauge, WORKER, "Rows that are due or were attempted already; 10,000 are counted at most.", ("task",)
    ),
    "worker_due_oldest_seconds": Metric(
        Gauge, WORKER, "How long the first of these rows has been due; 0 where there is none.", ("task",)
    ),
}

_registered: dict[Name, MetricWrapperBase] = {}
_label_sets: dict[Name, list[Mapping[str, str]]] = {}
_hooks: list[Callable[[], object]] = []


def expose(program: Program, known: Mapping[Name, LabelSets]) -> None:
    """Register every metric of the program, with the label sets that are known beforehand.

    Raises ValueError where a metric with labels is not among `known`: say an empty one where nothing is known.
    """
    for name, described in METRICS.items():
        if program not in described.programs:
            continue
        if not described.labels:
            metric(name)
        elif name not in known:
            raise ValueError(f"{program}: say which label sets {name} has")
        else:
            # Added to what is known: one relay process exposes the series of several databases.
            _label_sets[name] = [*_label_sets.get(name, ()), *known[name]]
            for labels in _label_sets[name] or [{}]:
                metric(name, **labels)


def label_sets(name: Name) -> list[Mapping[str, str]]:
    """Return the label sets that were known when the metric was exposed."""
    return _label_sets.get(name, [])


def know(name: Name, labels: LabelSets) -> None:
    """Add label sets to those that are known."""
    sets = _label_sets.setdefault(name, [])
    sets += [one for one in labels if one not in sets]


def on_scrape(hook: Callable[[], object]) -> None:
    """Call the hook before each scrape is answered; it sets gauges, blocks some seconds at most, and raises nothing."""
    _hooks.append(hook)


def scraped(accept: str = "") -> tuple[str, bytes]:
    """Return content type and all metrics, in the format that `Accept` asks for: OpenMetrics has the exemplars."""
    # In the scraper's thread: what a hook asks a database for delays this scrape and nothing else.
    for hook in _hooks:
        hook()
    write, content_type = exposition.choose_encoder(accept)
    return content_type, write(REGISTRY)


def metric(name: Name, **labels: str) -> MetricWrapperBase:
    """Return the metric, with its labels filled in; ready for `inc`, `set` or `observe`."""
    found = _registered.get(name)
    if found is None:
        described = METRICS[name]
        kind = partial(Histogram, buckets=described.buckets) if described.kind is Histogram else described.kind
        found = _registered[name] = kind(name, described.meaning, described.labels)
    return found.labels(**labels) if labels else found


def inc(name: Name, amount: float = 1, **labels: str) -> None:
    """Raise a counter or a gauge."""
    found = metric(name, **labels)
    assert isinstance(found, Counter | Gauge)
    found.inc(amount)


def put(name: Name, value: float, **labels: str) -> None:
    """Set a gauge."""
    found = metric(name, **labels)
    assert isinstance(found, Gauge)
    found.set(value)


def fill(name: Name, value: float, labels: Mapping[str, str]) -> None:
    """Set a gauge that a question to the database is for."""
    put(name, value, **labels)


def observe(name: Name, value: float, traceparent: str | None = None, **labels: str) -> None:
    """Add a value to a histogram; its exemplar is the trace given, else the one that is recorded here."""
    found = metric(name, **labels)
    assert isinstance(found, Histogram)
    trace = traceparent or spans.current()
    found.observe(value, spans.ids(trace) if spans.is_sampled(trace) else None)

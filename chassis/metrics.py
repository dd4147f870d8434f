"""Every metric there is: kind, labels, meaning. A name that is not here does not type-check."""

from dataclasses import dataclass
from typing import Literal

from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.metrics import MetricWrapperBase

Name = Literal[
    "consumer_lag_seconds",
    "consumer_parked_total",
    "consumer_passed_total",
    "consumer_processed_total",
    "consumer_stopped",
    "http_request_seconds",
    "outbox_commit_to_ack_seconds",
    "outbox_gap_seconds",
    "outbox_oldest_unpublished_seconds",
    "outbox_parked",
    "outbox_publish_failures_total",
    "outbox_published_total",
    "outbox_relay_leader",
    "worker_attempts_total",
    "worker_attention_seconds",
]


@dataclass(frozen=True, slots=True)
class Metric:
    """Describe one metric."""

    kind: type[Counter | Gauge | Histogram]
    meaning: str
    labels: tuple[str, ...] = ()


METRICS: dict[Name, Metric] = {
    "consumer_lag_seconds": Metric(Gauge, "Age of the last message read; 0 where all are handled.", ("topic",)),
    "consumer_parked_total": Metric(Counter, "Messages parked in the inbox since the start.", ("reason",)),
    "consumer_passed_total": Metric(Counter, "Messages that nobody here reacts to, or meant for another group."),
    "consumer_processed_total": Metric(Counter, "Messages handled.", ("topic", "type", "outcome")),
    "consumer_stopped": Metric(Gauge, "1 while the consumer stands still because it would park too many keys."),
    "http_request_seconds": Metric(Histogram, "Time to answer a request.", ("method", "route", "status")),
    "outbox_commit_to_ack_seconds": Metric(
        Histogram, "From the row's time to the broker's acknowledgement.", ("service",)
    ),
    "outbox_gap_seconds": Metric(Gauge, "Age of the oldest position that may still be committed.", ("service",)),
    "outbox_oldest_unpublished_seconds": Metric(
        Gauge, "Age of the oldest visible row without acknowledgement.", ("service",)
    ),
    "outbox_parked": Metric(
        Gauge, "Publications that the broker refused and that wait for a redrive.", ("service", "reason")
    ),
    "outbox_publish_failures_total": Metric(Counter, "Failed deliveries.", ("service", "reason")),
    "outbox_published_total": Metric(Counter, "Records acknowledged by the broker.", ("service", "topic")),
    "outbox_relay_leader": Metric(Gauge, "1 where this relay leads its database, 0 where it stands by.", ("service",)),
    "worker_attempts_total": Metric(Counter, "Attempts at due rows.", ("task", "outcome")),
    "worker_attention_seconds": Metric(
        Gauge, "How long the first of the due rows has needed attention; 0 where none does.", ("task",)
    ),
}

_registered: dict[Name, MetricWrapperBase] = {}


def metric(name: Name, **labels: str) -> MetricWrapperBase:
    """Return the metric, with its labels filled in; ready for `inc`, `set` or `observe`."""
    found = _registered.get(name)
    if found is None:
        described = METRICS[name]
        found = _registered[name] = described.kind(name, described.meaning, described.labels)
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


def observe(name: Name, value: float, **labels: str) -> None:
    """Add a value to a histogram."""
    found = metric(name, **labels)
    assert isinstance(found, Histogram)
    found.observe(value)

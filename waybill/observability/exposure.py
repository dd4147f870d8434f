"""Which series each program of a service exposes from its start, and what it asks its database for at a scrape."""

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any, Final

from psycopg import sql

from waybill.consumer.gap import IS_OPEN
from waybill.consumer.subscriber import Subscriber
from waybill.contracts.topics import topics
from waybill.database.side_session import SideSession
from waybill.deciders.service import Service
from waybill.observability import metrics
from waybill.observability.metrics import LabelSets, Name, Program
from waybill.observability.sampling import Question, Sampler
from waybill.runtime.condition import PARTS, Condition

COUNTED: Final = 10_000

# The partial index received_parked holds these rows alone.
DEAD_LETTERS: Final = """
SELECT CASE WHEN reason LIKE 'Unreadable%%' THEN 'Unreadable' WHEN reason LIKE 'CommandRefused%%' THEN 'CommandRefused'
            WHEN reason LIKE 'SchemaUnknown%%' THEN 'SchemaUnknown' WHEN reason LIKE 'behind %%' THEN 'behind'
            ELSE 'defect' END, count(*)
FROM (SELECT headers->>'reason' AS reason FROM received WHERE status = -1 LIMIT %(most)s) AS dead
GROUP BY 1
"""
MISSING_RECORDS: Final = f"""
SELECT topic, "partition", sum(coalesce(last_offset - first_offset + 1, 1)) FROM waybill_offset_gap
WHERE {IS_OPEN} GROUP BY topic, "partition"
"""  # noqa: S608 - constants
CONSUMER_QUESTIONS: Final = (
    Question("consumer_dead_letters", DEAD_LETTERS, {"most": COUNTED}),
    Question("consumer_missing_records", MISSING_RECORDS, others=True),
)
REFUSALS: Final = ("malformed", "misdirected", "too_large", "slow", "rate_limited", "overloaded", "defect")
DEAD_LETTER_REASONS: Final = ("Unreadable", "SchemaUnknown", "CommandRefused", "defect", "behind")

# A failed attempt puts off the time at which its row is due, so a row that was attempted counts too; of a task with
# long retries it counts while it is due. Both halves have an index: waybill_due_task_next and _attempted,
# which clock_timestamp() would not use: it may differ from row to row.
DUE_COUNT: Final = """
SELECT task, count(*) FROM (
    (SELECT task FROM waybill_due_task
     WHERE task = ANY(%(tasks)s::text[]) AND due_at <= statement_timestamp()
     AND (first_attempt_at IS NULL OR task = ANY(%(long)s::text[])) LIMIT %(most)s)
    UNION ALL
    (SELECT task FROM waybill_due_task WHERE task = ANY(%(tasks)s::text[]) AND first_attempt_at IS NOT NULL
    AND task <> ALL(%(long)s::text[]) LIMIT %(most)s)
) AS waiting GROUP BY task
"""
DUE_OLDEST: Final = """
SELECT task, coalesce(date_part('epoch', clock_timestamp() - least(
    (SELECT due_at FROM waybill_due_task WHERE waybill_due_task.task = asked.task AND due_at <= statement_timestamp()
    AND (first_attempt_at IS NULL OR asked.task = ANY(%(long)s::text[]))
     ORDER BY due_at LIMIT 1),
    (SELECT min(first_attempt_at) FROM waybill_due_task WHERE waybill_due_task.task = asked.task
    AND first_attempt_at IS NOT NULL AND asked.task <> ALL(%(long)s::text[])))), 0)
FROM unnest(%(tasks)s::text[]) AS asked (task)
"""
ATTENTION: Final = """
SELECT task, date_part('epoch', clock_timestamp() - min(attention_since)) FROM waybill_due_task
WHERE attention_since IS NOT NULL GROUP BY task
"""

# The table's partial index of its open statuses.
OPEN: Final = """
SELECT status, count(*) FROM (SELECT status FROM {table} WHERE status = ANY({statuses}) LIMIT {most}) AS waiting
GROUP BY status
"""


def expose(
    program: Program,
    service: Service,
    session: SideSession,
    condition: Condition | None = None,
    requests: LabelSets = (),
) -> None:
    """Register the program's series, and fill those that the database or the program's condition knows at each scrape.

    `requests` are the label sets of `http_request_seconds` that are known beforehand.
    """
    metrics.expose(program, label_sets(service, requests))
    metrics.put("waybill_build_info", 1, version=version("waybill"))
    metrics.on_scrape(Sampler(service.name, session, questions(program, service)).refresh)
    if program == "worker":
        metrics.on_scrape(lambda: _show_breakers(service))
    if condition is not None:
        metrics.on_scrape(lambda: condition.show(service.name))


def expose_consumer(subscriber: Subscriber, session: SideSession, condition: Condition) -> None:
    """Register the consumer's series for a subscriber without rows or tasks, and fill them as `expose` does."""
    metrics.expose("consumer", {**dict.fromkeys(metrics.METRICS, ()), **received_sets(subscriber)})
    metrics.put("waybill_build_info", 1, version=version("waybill"))
    metrics.on_scrape(Sampler(subscriber.name, session, CONSUMER_QUESTIONS).refresh)
    metrics.on_scrape(lambda: condition.show(subscriber.name))


def _show_breakers(service: Service) -> None:
    for task, is_open in service.open_breakers().items():
        metrics.put("worker_breaker_open", is_open, task=task)


def label_sets(service: Service, requests: LabelSets = ()) -> Mapping[Name, LabelSets]:
    """Return for each labelled metric of a service's programs what is known beforehand."""
    tasks = [{"task": task} for task in service.tasks]
    tables = service.tables.values()
    return {
        **received_sets(service),
        "aggregate_completion_seconds": [
            {"aggregate_type": table.aggregate_type, "status": str(status)}
            for table in tables
            for status in table.end_statuses
            if status not in table.unmeasured_statuses
        ],
        "aggregate_open": [
            {"aggregate_type": table.aggregate_type, "status": str(status)}
            for table in tables
            for status in table.open_statuses
        ],
        "http_refused_total": [{"reason": reason} for reason in REFUSALS],
        "http_request_seconds": requests,
        "worker_attempt_seconds": tasks,
        "worker_attempts_total": [
            {**task, "outcome": outcome} for task in tasks for outcome in ("done", "unavailable", "defect")
        ],
        "worker_attention_seconds": tasks,
        "worker_breaker_open": [{"task": task} for task in service.open_breakers()],
        "worker_due": tasks,
        "worker_due_oldest_seconds": tasks,
    }


def received_sets(subscriber: Subscriber) -> dict[Name, LabelSets]:
    """Return what is known beforehand of the metrics that every consumer has."""
    return {
        "consumer_dead_letters": [{"reason": reason} for reason in DEAD_LETTER_REASONS],
        "consumer_lag_seconds": [{"topic": topic} for topic in subscriber.topics],
        "consumer_missing_records": [
            {"topic": topic.name, "partition": str(partition)}
            for topic in topics()
            if topic.name in subscriber.topics
            for partition in range(topic.partitions)
        ],
        "consumer_dead_lettered_total": [{"reason": reason} for reason in DEAD_LETTER_REASONS if reason != "behind"],
        "consumer_processed_total": [
            {"topic": event.topic or "", "type": event.event_type, "outcome": outcome}
            for event, _ in subscriber.reaction_to.values()
            for outcome in ("applied", "repeated")
        ],
        "waybill_build_info": [],
        "waybill_database_up": [{"service": subscriber.name}],
        "waybill_spans_dropped_total": metrics.SPANS_DROPPED,
        "waybill_waiting": [{"service": subscriber.name, "part": part} for part in PARTS],
    }


def questions(program: Program, service: Service) -> Sequence[Question]:
    """Return what a program asks its database for at a scrape."""
    match program:
        case "web":
            return [
                Question("aggregate_open", _open(table), fixed={"aggregate_type": kind})
                for kind, table in service.tables.items()
                if table.open_statuses
            ]
        case "consumer":
            return CONSUMER_QUESTIONS
        case "worker":
            long = [name for name, task in service.tasks.items() if task.long_retries]
            values = {"tasks": list(service.tasks), "long": long, "most": COUNTED}
            return [
                Question("worker_due", DUE_COUNT, values),
                Question("worker_due_oldest_seconds", DUE_OLDEST, values),
                Question("worker_attention_seconds", ATTENTION),
            ]
        case "relay" | "shadow" | "gate":
            raise ValueError(f"a {program} is no program of a service")


def _open(table: Any) -> sql.Composed:
    statuses = sql.Literal([*map(str, table.open_statuses)])
    name = sql.Identifier(table._meta.db_table)  # noqa: SLF001 - how Django is asked for a model's table
    return sql.SQL(OPEN).format(table=name, statuses=statuses, most=sql.Literal(COUNTED))

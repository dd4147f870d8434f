"""Which series a relay exposes from its start, for each outbox that it serves, and what it asks at a scrape.

Standby and leader ask the same database the same, so what they say differs by some seconds at most; only
`outbox_relay_leader` and the counters are a relay's own.
"""

from collections.abc import Sequence
from importlib.metadata import version
from typing import Final

from confluent_kafka import KafkaError

from outbox_relay.databases import short_name
from outbox_relay.relay.dead_letters import REFUSALS, Reason
from outbox_relay.settings import Outbox
from waybill.contracts.topics import topics
from waybill.database.side_session import SideSession
from waybill.observability import metrics
from waybill.observability.sampling import Question, Sampler
from waybill.runtime.condition import PARTS, Condition

COUNTED: Final = 10_000  # a scrape never counts further, so that it stays cheap however many dead letters there are
BROKER: Final = "broker"  # the reason of a failure that is not a record's own
TABLES: Final = ("waybill_outbox", "published", "received", "waybill_due_task", "waybill_idempotency_key")

# The first public row above the cursor, and what became visible in its gaps: probes of the primary key.
OLDEST: Final = """
SELECT coalesce(date_part('epoch', clock_timestamp() - least(
    (SELECT recorded_at FROM waybill_outbox WHERE topic IS NOT NULL AND waybill_outbox.position > cursor.position
     ORDER BY waybill_outbox.position LIMIT 1),
    (SELECT min(late.recorded_at) FROM generate_series(1, cardinality(missing), 2) AS n, LATERAL (
         SELECT recorded_at FROM waybill_outbox
         WHERE topic IS NOT NULL AND waybill_outbox.position BETWEEN missing[n] AND missing[n + 1]
         ORDER BY waybill_outbox.position LIMIT 1) AS late))), 0)
FROM waybill_outbox_cursor AS cursor
"""

# A gap was there when the row behind it was recorded, within the moment that a transaction takes.
GAP: Final = """
SELECT coalesce(date_part('epoch', clock_timestamp() - (
    SELECT recorded_at FROM waybill_outbox WHERE waybill_outbox.position > missing[2] ORDER BY waybill_outbox.position
    LIMIT 1)), 0)
FROM waybill_outbox_cursor
"""

HEARTBEAT: Final = "SELECT date_part('epoch', clock_timestamp() - heartbeat_at) FROM waybill_outbox_cursor"

# By the index of the status; what has succeeded (2) is not read.
DEAD_LETTERS: Final = """
SELECT reason, count(*) FROM (
    SELECT headers->>'reason' AS reason FROM published WHERE status IN (-1, 1) LIMIT %(most)s) AS waiting
GROUP BY reason
"""

# No scan: the planner's estimate, and -1 where the table was never analysed. A partitioned log is what its ranges are.
PARTS_OF: Final = """
FROM pg_class LEFT JOIN pg_inherits ON inhparent = pg_class.oid
     JOIN pg_class AS part ON part.oid = coalesce(inhrelid, pg_class.oid)
WHERE pg_class.relnamespace = quote_ident(current_schema())::regnamespace
  AND pg_class.relname = ANY(%(tables)s::text[])
GROUP BY pg_class.relname
"""
ROWS: Final = f"SELECT pg_class.relname, sum(nullif(part.reltuples, -1))::float {PARTS_OF}"
BYTES: Final = f"SELECT pg_class.relname, sum(pg_total_relation_size(part.oid))::bigint {PARTS_OF}"


def expose(outbox: Outbox, session: SideSession, condition: Condition) -> None:
    """Register the series of one outbox, and fill those that the database or the condition knows at each scrape."""
    own = {"service": outbox.service}
    tables = [{**own, "table": table} for table in TABLES]
    metrics.expose(
        "relay",
        {
            "outbox_commit_to_ack_seconds": [own],
            "outbox_gap_seconds": [own],
            "outbox_heartbeat_seconds": [own],
            "outbox_oldest_unpublished_seconds": [own],
            "outbox_dead_letters": [{**own, "reason": reason} for reason in Reason],
            "outbox_publish_failures_total": [{**own, "reason": reason} for reason in failures()],
            "outbox_published_total": [{**own, "topic": topic} for topic in topics_of(outbox.service)],
            "outbox_records_without_event": [own],
            "outbox_relay_leader": [own],
            "waybill_build_info": [],
            "waybill_database_up": [own],
            "waybill_spans_dropped_total": metrics.SPANS_DROPPED,
            "waybill_table_bytes": tables,
            "waybill_table_rows": tables,
            "waybill_waiting": [{**own, "part": part} for part in PARTS],
        },
    )
    metrics.put("waybill_build_info", 1, version=version("waybill"))
    metrics.on_scrape(Sampler(outbox.service, session, questions(own)).refresh)
    metrics.on_scrape(lambda: condition.show(outbox.service))


def failures() -> list[str]:
    """Return why deliveries fail: the broker is away, or it refuses a record."""
    return [BROKER, *sorted(KafkaError(code).name().lower() for code in REFUSALS)]


def topics_of(service: str) -> list[str]:
    """Return the topics that the service's relay writes: those that begin with its name."""
    own = f"{short_name(service)}."
    return [topic.name for topic in topics() if topic.name.startswith(own)]


def questions(own: dict[str, str]) -> Sequence[Question]:
    """Return what the relay asks an outbox's database for at a scrape."""
    tables = {"tables": list(TABLES)}
    return [
        Question("outbox_oldest_unpublished_seconds", OLDEST, fixed=own),
        Question("outbox_gap_seconds", GAP, fixed=own),
        Question("outbox_heartbeat_seconds", HEARTBEAT, fixed=own),
        Question("outbox_dead_letters", DEAD_LETTERS, {"most": COUNTED}, own),
        Question("waybill_table_rows", ROWS, tables, own),
        Question("waybill_table_bytes", BYTES, tables, own),
    ]

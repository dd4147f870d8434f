"""Where a partition is read on once its next offset is not in the log, and which records are missing by that.

Retention removes records whether or not they were read. With `auto.offset.reset` at `earliest` a client goes on at what
is left and says nothing; at `error` it asks, and the answer is given here. The consumer carries on: stopping would lose
more to the same retention. What is missing is kept in `offset_gap`, and the program unready, until an operator has
replayed it and acknowledged that.

A topic that was deleted and made again is noticed where it has fewer records than the group has read.
"""

from typing import NamedTuple

import structlog
from confluent_kafka import Consumer, TopicPartition
from django.db import connection

from chassis.condition import Condition

log: structlog.stdlib.BoundLogger = structlog.get_logger()
ANSWER_SECONDS = 10.0

KEEP = """
INSERT INTO offset_gap (topic, "partition", first_offset, last_offset) VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING
"""
OPEN = """
SELECT topic, "partition", first_offset, last_offset FROM offset_gap WHERE acknowledged_at IS NULL ORDER BY found_at
"""


class Start(NamedTuple):
    """The offset to read on from, and the first and last offset that are missing before it, if any are."""

    offset: int
    missing: tuple[int, int] | None


def choose_start(wanted: int, low: int, high: int) -> Start:
    """Return where to read on in a log from `low` to before `high`; `wanted` is negative where the group has none."""
    if wanted < 0:
        return Start(low, None)  # a new group begins with what there is
    if wanted < low:
        return Start(low, (wanted, low - 1))
    if wanted > high:
        return Start(low, (high, wanted - 1))  # the log ends before: truncated, or another topic of that name
    return Start(wanted, None)


def resume(consumer: Consumer, topic: str, partition: int) -> None:
    """Read on in a partition whose next offset is out of range; keeps and logs what is missing.

    Blocks up to 20 s. Raises KafkaException, and what the database raises.
    """
    at = TopicPartition(topic, partition)
    position = consumer.position([at])[0].offset
    wanted = position if position >= 0 else consumer.committed([at], ANSWER_SECONDS)[0].offset
    low, high = consumer.get_watermark_offsets(at, ANSWER_SECONDS)
    start = choose_start(wanted, low, high)
    if start.missing:
        first, last = start.missing
        with connection.cursor() as cursor:
            cursor.execute(KEEP, [topic, partition, first, last])
        log.error(
            "records missing",
            topic=topic,
            partition=partition,
            first_offset=first,
            last_offset=last,
            goes_on_at=start.offset,
            remedy="outbox replay … --to-consumer GROUP",
        )
    consumer.incremental_unassign([at])
    consumer.incremental_assign([TopicPartition(topic, partition, start.offset)])


def tell(group: str, condition: Condition) -> None:
    """Tell readiness of the gaps that no operator has acknowledged. Raises what the database raises."""
    with connection.cursor() as cursor:
        cursor.execute(OPEN)
        gaps = [f"{topic}/{partition} offsets {first} to {last}" for topic, partition, first, last in cursor.fetchall()]
    if not gaps:
        condition.recovered("topic")
        return
    reason = f"records missing: {', '.join(gaps[:3])}{' …' if len(gaps) > 3 else ''}; "  # noqa: PLR2004
    remedy = f"send them with `outbox replay … --to-consumer {group}`, then acknowledge them (runbook)"
    condition.fails("topic", reason + remedy, operator_needed=True)

"""The outages that are recorded: situations of the night, and those that only a rule needs.

`held_seconds` is what the slowest alert of the outage needs, as the rules are written.
"""

from collections.abc import Generator
from dataclasses import dataclass
from uuid import uuid4

from confluent_kafka.admin import (  # pyright: ignore[reportPrivateImportUsage] - as documented
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)

from devstack import parts
from devstack.services import SERVICES
from tests.e2e.night import brokers, consistency, databases, outside, records
from tests.e2e.night.operator import DETECT_SECONDS, Operator, until
from tests.e2e.night.situations import Look, Story

WHY = ("--reason", "an outage that is recorded")


@dataclass(frozen=True)
class Outage:
    """What goes wrong, under the name that the runbook's table has for it."""

    name: str
    story: Story
    held_seconds: int


def nothing(_: Operator) -> Generator[Look]:
    yield lambda: True
    yield lambda: True


def orders_read_only(op: Operator) -> Generator[Look]:
    """Let the database of the orders take no writes, as a hoster does whose disk is full."""
    try:
        op.sql("order", 'ALTER DATABASE "order" SET default_transaction_read_only = on')
        _end_sessions(op)
        yield lambda: op.ready("order.web")
    finally:
        op.sql("postgres", 'ALTER DATABASE "order" RESET default_transaction_read_only')
        _end_sessions(op)
    yield lambda: not op.ready("order.web")


def _end_sessions(op: Operator) -> None:
    op.sql(
        "postgres",
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'order' AND pid <> pg_backend_pid()",
    )


def database_server_away(op: Operator) -> Generator[Look]:
    op.stop("postgres")
    yield lambda: op.ready("order.web")
    op.start("postgres")
    yield lambda: not op.ready("order.web") and not op.ready("order.relay")


def program_ended(op: Operator) -> Generator[Look]:
    op.stop("payment.consumer")
    yield lambda: op.ready("payment.consumer")
    op.start("payment.consumer")
    yield lambda: not op.ready("payment.consumer")


def every_relay_ended(op: Operator) -> Generator[Look]:
    relays = [f"{service}.relay" for service in tuple(SERVICES)]
    op.stop(*relays)
    yield lambda: all(op.ready(relay) for relay in relays)
    op.start(*relays)
    yield lambda: not any(op.ready(relay) for relay in relays)


def relay_paused(op: Operator) -> Generator[Look]:
    op.done("pause", "--service", "order", *WHY)
    yield lambda: "paused" in op.ready("order.relay")
    op.done("resume", "--service", "order")
    yield lambda: not op.ready("order.relay")


def publication_refused(op: Operator) -> Generator[Look]:
    """Let the topic of the orders take no record of the size that an order has."""
    sku = op.product()
    _limit(op, "100")
    op.order(sku)
    yield lambda: op.json("dead-letters", "--service", "order", "--publications")
    _limit(op, None)
    op.done("redrive", "--service", "order", "--publications", *WHY)
    yield lambda: not op.json("dead-letters", "--service", "order", "--publications")


def _limit(op: Operator, most_bytes: str | None) -> None:
    how = AlterConfigOpType.DELETE if most_bytes is None else AlterConfigOpType.SET
    entry = ConfigEntry("max.message.bytes", most_bytes or "", incremental_operation=how)
    asked = ConfigResource(ResourceType.TOPIC, brokers.ORDERS, incremental_configs=[entry])
    admin = AdminClient({"bootstrap.servers": op.stack.kafka})
    for answered in admin.incremental_alter_configs([asked]).values():
        answered.result(DETECT_SECONDS)


def event_unreadable_to_its_task(op: Operator) -> Generator[Look]:
    """Let an order's deadline come while its event cannot be read."""
    sku = op.product()
    op.done("pause", "--service", "order", *WHY)  # the order stays open
    order_id = op.order(sku)
    ((event_id, payload),) = op.sql(
        "order", "SELECT event_id, payload FROM waybill_outbox WHERE aggregate_id = %s", order_id
    )
    op.sql("order", "UPDATE waybill_outbox SET payload = ''::bytea WHERE event_id = %s", event_id)
    op.sql("order", "UPDATE waybill_due_task SET due_at = clock_timestamp() WHERE event_id = %s", event_id)
    yield lambda: op.json("attention", "--service", "order")
    op.sql("order", "UPDATE waybill_outbox SET payload = %s WHERE event_id = %s", payload, event_id)
    op.done("resume", "--service", "order")
    yield lambda: not op.json("attention", "--service", "order")


def consumer_stands_still(op: Operator) -> Generator[Look]:
    """Put so many bad records on a topic that consumers stand still. Comes last: nothing undoes it."""
    for number in range(60):
        op.produce(brokers.ORDERS, f"bad-{number}".encode(), b"not ours", ce_type=records.PLACED, ce_id=str(uuid4()))
    yield lambda: "stopped" in op.ready("inventory.consumer")
    yield lambda: True


def all_ready(op: Operator) -> None:
    """Wait until every program does its work, as before an outage."""
    programs = [name for name in parts.names() if name.endswith((".web", ".consumer", ".worker", ".relay"))]
    until(lambda: not any(op.ready(program) for program in programs), "every program ready")


OUTAGES = [
    Outage("nothing", nothing, 120),
    Outage("a relay cannot log in", brokers.relay_cannot_log_in, 90),
    Outage("a relay is frozen while it leads, with a standby", brokers.frozen_leader, 90),
    Outage("Kafka is away", brokers.kafka_away, 150),
    Outage("the first dead letter", records.nul_in_a_key, 20),
    Outage("the payment provider is away", outside.provider_away, 270),
    Outage("the mail server is away", outside.mail_server_away, 220),
    Outage("a service's database takes no writes", orders_read_only, 180),
    Outage("the database server is away", database_server_away, 180),
    Outage("a right is lost", databases.right_lost, 90),
    Outage("an identity is set back", databases.identity_set_back, 150),
    Outage("a column is missing", databases.column_missing, 90),
    Outage("records are gone before a consumer read them", brokers.retention_passed, 90),
    Outage("a database was restored in place", consistency.database_restored, 20),
    Outage("a program has ended", program_ended, 90),
    Outage("every relay has ended", every_relay_ended, 150),
    Outage("a relay is paused", relay_paused, 150),
    Outage("the broker refuses a publication", publication_refused, 40),
    Outage("a task needs an operator", event_unreadable_to_its_task, 30),
    Outage("most records of a topic are bad", consumer_stands_still, 90),
]

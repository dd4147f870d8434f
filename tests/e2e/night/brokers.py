"""What goes wrong with Kafka, the relay and the schema registry."""

import signal
from collections.abc import Generator

from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition
from confluent_kafka.admin import AdminClient  # pyright: ignore[reportPrivateImportUsage] - as documented
from psycopg import sql

from tests.e2e.night.operator import DETECT_SECONDS, Operator, until
from tests.e2e.night.situations import Look, situation
from tests.support import topics

ORDERS = "order.events.v1"
PRODUCTS = "inventory.products.v1"


@situation("Kafka away", signal="/readyz of inventory.consumer", remedy="Kafka")
def kafka_away(op: Operator) -> Generator[Look]:
    sku = op.product()
    op.stop("kafka")
    order_id = op.order(sku)
    yield lambda: "broker" in op.ready("inventory.consumer")
    op.start("kafka")
    yield lambda: op.at_rest(order_id) == "CONFIRMED" and not op.ready("inventory.consumer")


@situation(
    "a consumer that was down for longer than a topic keeps its records",
    signal="outbox status",
    remedy="outbox replay --to-consumer",
)
def retention_passed(op: Operator) -> Generator[Look]:
    sku = op.product()
    op.stop("notification.consumer")
    order_id = op.order(sku)
    assert op.at_rest(order_id) == "CONFIRMED"
    admin = AdminClient({"bootstrap.servers": op.stack.kafka})  # kept: its answers end with it
    for removed in admin.delete_records(topics.ends(op.stack.kafka, ORDERS)).values():
        removed.result(DETECT_SECONDS)
    op.start("notification.consumer")
    yield lambda: ORDERS in op.outbox("status").out
    reason = ("--reason", "the consumer was down for a week")
    op.done(
        "replay", "--service", "order", "--since", "1h", "--to-consumer", "notification_service", "--with-effects",
        "--execute", *reason,
    )  # fmt: skip
    notified = "SELECT 1 FROM notifications WHERE order_id = %s AND notices ? 'ORDER_CONFIRMED'"
    yield lambda: op.sql("notification", notified, order_id) and not op.ready("notification.consumer")


@situation("a topic read again from its start", signal="nothing: prices stay", remedy="nothing")
def topic_read_again(op: Operator) -> Generator[Look]:
    sku = op.product(unit_price=294)
    with op.stack.client("inventory", op.stack.state["tokens"]["staff"]) as staff:
        answer = staff.get(f"/v1/products/{sku}")
        listing = {"name": "A lamp", "unit_price": 9_900, "currency": "EUR"}
        staff.put(f"/v1/products/{sku}", json=listing, headers={"If-Match": answer.headers["ETag"]}).raise_for_status()
    price = "SELECT unit_price FROM prices WHERE sku = %s"
    until(lambda: op.sql("order", price, sku) == [(9_900,)], "the new price")
    op.stop("order.consumer")
    start = [TopicPartition(p.topic, p.partition, 0) for p in topics.ends(op.stack.kafka, PRODUCTS)]
    asked = [ConsumerGroupTopicPartitions("order_service", start)]
    admin = AdminClient({"bootstrap.servers": op.stack.kafka})

    def offsets_set() -> bool:  # refused for as long as the group still has its static member
        (answered,) = admin.alter_consumer_group_offsets(asked).values()
        return not any(partition.error for partition in answered.result(DETECT_SECONDS).topic_partitions)

    until(offsets_set, "the group's offsets set to the start")
    op.sql("order", "DELETE FROM received WHERE status = 2")
    op.start("order.consumer")

    def read_again() -> bool:
        assert op.sql("order", price, sku) == [(9_900,)]
        return bool(op.sql("order", "SELECT 1 FROM received HAVING count(*) > 1"))

    yield read_again
    yield lambda: op.sql("order", price, sku) == [(9_900,)] and op.confirmed(sku)


@situation("a relay that cannot log in", signal="outbox status", remedy="the password")
def relay_cannot_log_in(op: Operator) -> Generator[Look]:
    sku = op.product()
    password = sql.Literal(op.stage.site.secrets["order_relay"])
    change = sql.SQL("ALTER ROLE order_relay PASSWORD {}")
    op.sql("order", change.format(sql.Literal("another")))
    op.stage.tell("order.relay", signal.SIGKILL)
    order_id = op.order(sku)
    yield lambda: "no relay" in op.outbox("status", "--service", "order").err
    op.sql("order", change.format(password))
    yield lambda: op.at_rest(order_id) == "CONFIRMED" and op.outbox("status", "--service", "order").code == 0


@situation("a relay frozen while it leads", signal="outbox status", remedy="the standby, by itself")
def frozen_leader(op: Operator) -> Generator[Look]:
    sku = op.product()
    with op.stage.beside("order.relay", 2):
        op.stage.freeze("order.relay", signal.SIGSTOP)
        order_id = op.order(sku)
        yield (
            lambda: (
                (op.json("status", "--service", "order")[0]["heartbeat_seconds"] or 0) > 2
                or op.status_of(order_id) in {"RESERVED", "CONFIRMED"}
            )
        )
        yield lambda: op.at_rest(order_id) == "CONFIRMED"

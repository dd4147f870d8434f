"""Three records that must agree once nothing is left to do: the databases, the topics, the provider's ledger."""

import contextlib
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import confluent_kafka
import httpx2 as httpx
import psycopg
from psycopg.rows import dict_row

from devstack import services
from devstack.harness.stack import Stack
from devstack.harness.wait import wait_until
from tests.support import topics as real_topics
from waybill.contracts.topics import topics

SERVICES = tuple(services.SERVICES)


class Finding(NamedTuple):
    """Something that must not be: what kind of thing, in words, and how often."""

    kind: str
    text: str
    count: int = 1


@dataclass
class Audit:
    """What is wrong between the three records."""

    found: list[Finding] = field(default_factory=list)

    def check(self, holds: bool, kind: str, text: str, count: int = 1) -> None:
        if not holds:
            self.add(kind, text, count)

    def add(self, kind: str, text: str, count: int = 1) -> None:
        self.found.append(Finding(kind, text, count))


@contextlib.contextmanager
def reader(stack: Stack, service: str) -> Iterator[Callable[..., list[dict[str, Any]]]]:
    with psycopg.connect(stack.state["databases"][service], row_factory=dict_row, autocommit=True) as session:
        yield lambda query: session.execute(query).fetchall()


def records(stack: Stack) -> dict[str, list[tuple[str, str, int | None]]]:
    """Topic → (key, ce_id, ce_sequence) of every record, partition by partition; a replay's have no place in order."""
    consumer = confluent_kafka.Consumer(
        {
            "bootstrap.servers": stack.kafka,
            "group.id": "audit",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
        }
    )
    found: dict[str, list[tuple[str, str, int | None]]] = {topic.name: [] for topic in topics()}
    try:
        known = consumer.list_topics(timeout=10).topics
        todo = {(topic, p) for topic in found for p in known[topic].partitions}
        consumer.assign([confluent_kafka.TopicPartition(t, p, confluent_kafka.OFFSET_BEGINNING) for t, p in todo])
        while todo:
            for message in consumer.consume(1000, 1.0):
                if message.error():
                    if message.error().code() == confluent_kafka.KafkaError._PARTITION_EOF:
                        todo.discard((message.topic(), message.partition()))
                    continue
                headers = dict(message.headers())
                if real_topics.ARBITRARY in headers:
                    continue
                version = None if "ce_replayid" in headers else int(headers["ce_sequence"])
                found[message.topic()].append((message.key().decode(), headers["ce_id"].decode(), version))
    finally:
        consumer.close()
    return found


def compare(stack: Stack) -> list[str]:
    """Return every fault found; empty where the three records agree."""
    return [finding.text for finding in examine(stack).found]


def examine(stack: Stack) -> Audit:
    """Compare the databases, the topics and the provider's ledger."""
    audit = Audit()
    topics = records(stack)
    for service in SERVICES:
        with reader(stack, service) as read:
            ghosts = read("SELECT event_id::text FROM waybill_operator_decision WHERE kind = 'acknowledged_ghost'")
            _outbox_against_topics(audit, service, read, topics, {row["event_id"] for row in ghosts})
            failed = len(read("SELECT 1 FROM received WHERE status = -1"))
            audit.check(not failed, "wrong_dead_letters", f"{service}: {failed} messages are dead letters", failed)
    with reader(stack, "order") as read:
        orders = {str(row["order_id"]): row for row in read("SELECT * FROM orders")}
    with reader(stack, "payment") as read:
        payments = {str(row["order_id"]): row for row in read("SELECT * FROM payments")}
    with reader(stack, "inventory") as read:
        reservations = {str(row["order_id"]): row for row in read("SELECT * FROM reservations")}
        products = read("SELECT * FROM products")
    _stock(audit, reservations, products)
    ledger = httpx.get(f"{stack.urls['provider']}/v1/ledger", trust_env=False).json()["items"]
    _orders(audit, orders, payments, reservations, ledger)
    return audit


def until_they_agree(stack: Stack) -> None:
    """Wait until nothing is wrong: what is under way needs a moment; fails with the faults that stay."""
    faults: list[str] = []

    def look() -> bool:
        faults[:] = compare(stack)
        return not faults

    wait_until(look, deadline_seconds=60, what="the three records agree", every_seconds=0.5, seen=faults)


def _outbox_against_topics(
    audit: Audit, service: str, read: Any, topics: dict[str, Any], acknowledged: set[str]
) -> None:
    rows = read(
        "SELECT topic, aggregate_type, aggregate_id, aggregate_version, event_id::text FROM waybill_outbox "
        "ORDER BY position"
    )
    versions: dict[tuple[str, str], list[int]] = defaultdict(list)
    public: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        versions[row["aggregate_type"], row["aggregate_id"]].append(row["aggregate_version"])
        if row["topic"]:
            public[row["topic"]].add(row["event_id"])
    for place, seen in versions.items():
        audit.check(seen == list(range(1, len(seen) + 1)), "reordered", f"{service} {place}: versions {seen}")
    for topic, committed in public.items():
        published = {event_id for _, event_id, _ in topics[topic]} - acknowledged
        lost, ghosts = len(committed - published), len(published - committed)
        audit.check(not lost, "lost", f"{topic}: {lost} events lost", lost)
        audit.check(not ghosts, "ghosts", f"{topic}: {ghosts} events that nobody committed", ghosts)
        last: dict[str, int] = defaultdict(int)
        first_sight: set[str] = set()
        for key, event_id, version in topics[topic]:
            if event_id in first_sight or event_id in acknowledged or version is None:
                continue
            first_sight.add(event_id)
            audit.check(version > last[key], "reordered", f"{topic} {key}: version {version} after {last[key]}")
            last[key] = version


def _stock(audit: Audit, reservations: dict[str, Any], products: list[Any]) -> None:
    held: dict[str, int] = defaultdict(int)
    for reservation in reservations.values():
        if reservation["status"] == "RESERVED":
            for line in reservation["lines"]:
                held[line["sku"]] += line["quantity"]
    for product in products:
        sku = product["sku"]
        reserved = product["reserved"]
        audit.check(reserved == held[sku], "oversold", f"{sku}: {reserved} reserved, {held[sku]} held")
        audit.check(0 <= reserved <= product["on_hand"], "oversold", f"{sku}: oversold")


def _orders(audit: Audit, orders: Any, payments: Any, reservations: Any, ledger: list[dict[str, Any]]) -> None:
    charged: dict[str, list[int]] = defaultdict(list)  # amounts
    refunded: dict[str, list[int]] = defaultdict(list)
    for entry in ledger:
        if entry.get("kind") == "charge" and entry["status"] == "charged":
            charged[entry["order_id"]].append(entry["amount"])
        if entry.get("kind") == "refund":
            refunded[entry["order_id"]].append(entry["amount"])
    for order_id, order in orders.items():
        status = order["status"]
        payment = payments.get(order_id, {}).get("status")
        reservation = reservations.get(order_id, {}).get("status")
        seen = f"order {order_id} {status}: payment {payment}, reservation {reservation}, "
        seen += f"{charged[order_id]} charged, {refunded[order_id]} refunded"
        if status in {"IMPORTED", "ERASED"}:
            audit.check((payment, reservation, charged[order_id]) == (None, None, []), "ledger_mismatch", seen)
            continue
        audit.check(status in {"CONFIRMED", "CANCELLED"}, "stuck", f"{seen}: not ended")
        audit.check(len(charged[order_id]) <= 1, "double_charged", seen)
        if status == "CONFIRMED":
            wanted = 1 if order["total"] else 0  # a free order is charged nothing
            audit.check((len(charged[order_id]), len(refunded[order_id])) == (wanted, 0), "ledger_mismatch", seen)
            audit.check(reservation == "COMMITTED", "oversold", seen)
        if status == "CANCELLED":
            owed = sum(charged[order_id]) - sum(refunded[order_id])
            settled_by = payments.get(order_id, {}).get("settled_by")  # an operator, outside of the provider's records
            audit.check(owed > 0 if settled_by else owed == 0, "ledger_mismatch", f"{seen}, settled by {settled_by}")
            audit.check(reservation in {"REJECTED", "RELEASED", None}, "oversold", seen)

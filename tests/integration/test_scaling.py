"""More instances by hand, as a scaler starts them: the rate grows, each key keeps its order, nothing is done twice.

What a handler costs here is waiting: each transaction waits for the database, as behind a slow disk or a long way. So
three consumers can be faster than one where all of them have a core or two.
"""

import json
import sys
import time
import tomllib
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from uuid import uuid4

import psycopg
import pytest
from confluent_kafka import Producer

from devstack.folder import CHECKOUT
from devstack.harness.databases import Server, ServiceDatabase
from order_service.service import service as order_service
from schemas.events import OrderConfirmed
from tests.support.broker import Broker
from tests.support.databases import in_use
from tests.support.inbox import WRITERS
from tests.support.orders import LINES, place, placed
from tests.support.own_shop import make_topics_anew
from tests.support.programs import Program, program
from tests.support.scrape import scrape
from tests.support.stock import stocked
from waybill.contracts import codec
from waybill.deciders.unit_of_work import handle

LIMITS = tomllib.loads((CHECKOUT / "deploy" / "scaling.toml").read_text())
SKUS = [f"LAMP-{number}" for number in range(20)]  # so many that consumers seldom wait for each other's rows
UNITS = 1_000
BATCH, BATCH_WAITS_SECONDS = 10, 0.15
SOME = 8 * BATCH  # messages, to measure one consumer by
AGO_SECONDS = 60  # since when nobody has consumed
APART = 7  # orders between an order's two events: every rebalance comes between those of some orders

# Each transaction of a consumer waits here, before it locks a row; `handled` is the sequence in which messages were.
SLOW = """
ALTER TABLE received ADD COLUMN handled bigserial;
GRANT USAGE ON SEQUENCE received_handled_seq TO test_service;
CREATE FUNCTION wait_first() RETURNS trigger LANGUAGE plpgsql
    AS $$ BEGIN PERFORM pg_sleep({seconds}); RETURN NULL; END $$;
CREATE TRIGGER slow BEFORE INSERT ON received FOR EACH STATEMENT EXECUTE FUNCTION wait_first();
"""
# By the database's clock, of messages handled within: how many, and how long it took. The last ones are left out: then
# some consumers have nothing left to do.
RATE = """
SELECT (count(*) / extract(epoch FROM max(added) - min(added)))::float FROM (
    SELECT added FROM received WHERE added > %s AND added < %s ORDER BY handled LIMIT %s) AS measured
"""


@dataclass
class Topic:
    """A topic of orders, as the order service's relay writes it, and what was written."""

    producer: Producer
    orders: int = 0
    ids: dict[str, list[str]] = field(default_factory=dict)  # order → its events, in their order

    def write(self, count: int) -> None:
        """Write so many orders, two events each."""
        new = [placed(sku=SKUS[(self.orders + n) % len(SKUS)]) for n in range(count)]
        self.orders += count
        for number in range(count + APART):
            if number < count:
                self._send(new[number], "1")
            if number >= APART:
                self._send(confirmed(new[number - APART]), "4")
        assert self.producer.flush(30) == 0

    def _send(self, event, version: str) -> None:
        told = {"ce_id": str(uuid4()), "ce_type": event.event_type, "ce_sequence": version}
        self.ids.setdefault(event.aggregate_id, []).append(told["ce_id"])
        schema_id = next(n for n, kind in WRITERS.items() if isinstance(event, kind))
        self.producer.produce(
            event.topic,
            codec.frame(schema_id, codec.encode(event)),
            event.aggregate_id,
            headers=[(name, value.encode()) for name, value in told.items()],
            timestamp=int((time.time() - AGO_SECONDS) * 1000),
        )


def confirmed(event):
    return OrderConfirmed(
        order_id=event.order_id, customer_id="ann", lines=event.lines, total=event.total, currency="EUR"
    )


@pytest.fixture
def topic(own_inventory: ServiceDatabase, broker: Broker) -> Topic:
    """The topic, and an inventory service's database that makes each transaction wait."""
    make_topics_anew(broker.bootstrap)
    for sku in SKUS:
        stocked(sku, UNITS)
    with psycopg.connect(own_inventory.superuser_url, autocommit=True) as session:
        for schema_id, event in WRITERS.items():
            session.execute("INSERT INTO waybill_schema_id VALUES (%s, 1, %s)", [event.event_type, schema_id])
        session.execute(SLOW.format(seconds=BATCH_WAITS_SECONDS))
    return Topic(Producer({"bootstrap.servers": broker.bootstrap}))


@pytest.fixture
def orders_database(own_databases: Server) -> Iterator[ServiceDatabase]:
    """An order service's database, as this process's Django database."""
    with own_databases.fresh("order_service") as database, in_use(database.service_url):
        yield database


def processed(one: Program) -> float:
    return sum(value for (name, _), value in scrape(one.port).items() if name == "consumer_processed_total")


def lag_seconds(one: Program) -> float:
    lags = [value for (name, _), value in scrape(one.port).items() if name == "consumer_lag_seconds"]
    return max(lags)


@pytest.mark.slow
def test_two_more_consumers_work_a_backlog_off_faster_and_each_key_keeps_its_order(
    topic: Topic, own_inventory: ServiceDatabase, broker: Broker
):
    more = {
        "WAYBILL_SERVICE": "inventory_service",
        "WAYBILL_KAFKA_BOOTSTRAP": broker.bootstrap,
        "WAYBILL_BATCH_SIZE": str(BATCH),
        "WAYBILL_BATCH_SECONDS": "0",
    }
    url = own_inventory.service_url
    with psycopg.connect(own_inventory.superuser_url, autocommit=True) as session, ExitStack() as running:

        def handled() -> int:
            return session.execute("SELECT count(*) FROM received").fetchone()[0]

        def now():
            return session.execute("SELECT clock_timestamp()").fetchone()[0]

        topic.write(2 * SOME)
        first = running.enter_context(program("consumer", url, **more))
        began = now()
        first.wait_for("some messages", lambda: handled() >= SOME)
        assert lag_seconds(first) > LIMITS["consumer"]["limit_seconds"]
        alone_until = now()
        others = [running.enter_context(program("consumer", url, **more)) for _ in range(2)]
        all_three = (first, *others)

        def take_part() -> bool:
            if 2 * topic.orders - handled() < SOME:  # programs start slowly on a machine with much to do
                topic.write(SOME)
            return all(one.unready() is None and processed(one) > 0 for one in others)

        first.wait_for("two more at work", take_part, 60)
        before, together_from = [processed(one) for one in all_three], now()
        topic.write(2 * SOME)
        first.wait_for("all messages", lambda: handled() == 2 * topic.orders, 60)
        (alone,) = session.execute(RATE, [began, alone_until, SOME]).fetchone()
        (together,) = session.execute(RATE, [together_from, now(), 3 * SOME]).fetchone()
        shares = [processed(one) - had for one, had in zip(all_three, before, strict=True)]
        limit = LIMITS["consumer"]["limit_seconds"]
        first.wait_for("the lag within its limit", lambda: max(map(lag_seconds, all_three)) <= limit)
        sys.stdout.write(f"alone {alone:.0f}/s, three {together:.0f}/s, shares {shares}\n")
        assert together > 1.6 * alone
        assert min(shares) > 0.1 * sum(shares)
        assert_each_key_in_order_and_once(topic, session)


def assert_each_key_in_order_and_once(topic: Topic, session: psycopg.Connection) -> None:
    rows = session.execute("SELECT split_part(msg_id, ':', 2) FROM received WHERE status = 2 ORDER BY handled")
    sequence = {event_id: number for number, (event_id,) in enumerate(rows)}
    assert len(sequence) == 2 * topic.orders
    for order_id, ids in topic.ids.items():
        numbers = [sequence[event_id] for event_id in ids]
        assert numbers == sorted(numbers), order_id
    reservations = Counter(session.execute("SELECT status, version FROM reservations").fetchall())
    assert reservations == {("COMMITTED", 2): topic.orders}
    (on_hand,) = session.execute("SELECT sum(on_hand) FROM products").fetchone()
    assert on_hand == len(SKUS) * UNITS - LINES[0].quantity * topic.orders


@pytest.mark.slow
def test_two_workers_share_what_is_due_and_make_each_attempt_once(orders_database: ServiceDatabase):
    orders = 200
    handle(order_service, [place() for _ in range(orders)])
    more = {"WAYBILL_WORKER_THREADS": "2"}
    with psycopg.connect(orders_database.superuser_url, autocommit=True) as session, ExitStack() as running:
        workers = [running.enter_context(program("worker", orders_database.service_url, **more)) for _ in range(2)]
        for one in workers:
            one.wait_for("readiness", lambda one=one: one.unready() is None)
        session.execute("UPDATE waybill_due_task SET due_at = clock_timestamp()")
        due = "SELECT count(*) FROM waybill_due_task WHERE task = 'expire_order'"
        workers[0].wait_for("nothing due", lambda: session.execute(due).fetchone()[0] == 0)
        attempts = [
            sum(value for (name, _), value in scrape(one.port).items() if name == "worker_attempts_total")
            for one in workers
        ]
        assert sum(attempts) == orders
        assert min(attempts) > 0.1 * orders
        ended = session.execute(
            "SELECT event_type, count(*), count(DISTINCT aggregate_id) FROM waybill_outbox GROUP BY 1"
        ).fetchall()
        assert {kind.rpartition(".")[2]: counts for kind, *counts in ended} == {
            "OrderPlaced": [orders, orders],
            "OrderCancellationStarted": [orders, orders],
        }


@pytest.mark.slow
def test_two_web_programs_take_a_request_that_is_sent_to_both_once(orders_database: ServiceDatabase):
    keys = [uuid4().hex for _ in range(20)]
    url = orders_database.service_url
    with psycopg.connect(orders_database.superuser_url, autocommit=True) as session, ExitStack() as running:
        session.execute("INSERT INTO prices (sku, unit_price, currency) VALUES ('LAMP', 100, 'EUR')")
        webs = [running.enter_context(program("web", url)) for _ in range(2)]
        for one in webs:
            one.wait_for("readiness", lambda one=one: one.unready() is None)
        with ThreadPoolExecutor(8) as threads:
            sent = [threads.submit(one.order, "LAMP", key) for key in keys for one in webs]
            answers = [future.result() for future in sent]
        again = [one.order("LAMP", key) for key in keys for one in webs]
        ids = {json.loads(body)["id"] for status, body in again if status == 202}
        assert {status for status, _ in answers} <= {202, 409}
        assert [status for status, _ in again] == [202] * len(again)
        assert len(ids) == len(keys)
        assert session.execute("SELECT count(*) FROM orders").fetchone() == (len(keys),)

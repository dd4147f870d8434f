"""A broker with TLS, passwords and rules: our programs are let in by settings alone, and may do nothing else."""

import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient, NewTopic

from devstack.harness.databases import Server
from devstack.harness.wait import wait_until
from outbox_relay.relay.kafka.broker import SILENT
from tests.support.certificates import Authority
from tests.support.outbox_command import Ended, outbox, settings
from tests.support.own_shop import Shop, open_shop
from tests.support.relays import append, read_topic
from tests.support.secured_broker import SecuredBroker, secured_broker
from waybill.contracts import command
from waybill.contracts.topics import topics
from waybill.database.postgres_client import connect
from waybill.kafka.kafka_client import connection

REAUTHENTICATION_MS = 2_000
PASSWORD = "a word"  # of every user at first
USERS = ("order_relay", "order_service", "outbox", "deploy", "inventory_service")
OWN, FOREIGN, READ = "order.events.v1", "payment.events.v1", "inventory.products.v1"
UNREAD = "notification.events.v1"  # by the order service, which would miss the records of one that is created anew


@dataclass(frozen=True)
class Secured:
    """The order service on the broker; one properties file a user."""

    shop: Shop
    broker: SecuredBroker
    folder: Path

    def file(self, user: str, password: str = PASSWORD, listener: str = "secured", **more: str) -> Path:
        """Write the user's file, in place of the one of before."""
        text = self.broker.properties(user, password, bootstrap_servers=self.broker.addresses[listener], **more)
        written = self.folder / f"{user}.new"
        written.write_text(text)
        return written.replace(self.folder / f"{user}.properties")

    def client(self, user: str, **more: Any) -> dict[str, Any]:
        return {**connection("", str(self.folder / f"{user}.properties")), "logger": SILENT, **more}

    def run(self, kind: str, user: str, **more: str) -> Any:
        return self.shop.run(kind, WAYBILL_KAFKA_PROPERTIES_FILE=str(self.folder / f"{user}.properties"), **more)

    def command(self, *arguments: str) -> Ended:
        here = settings(self.broker.addresses["secured"], order=self.shop.database.service_url)
        return outbox(*arguments, **here, WAYBILL_KAFKA_PROPERTIES_FILE=str(self.folder / "outbox.properties"))

    def append(self, topic: str = OWN) -> str:
        key = f"order-{uuid.uuid4().hex[:8]}"
        with connect(self.shop.database.service_url, "test") as session:
            append(session, topic, key, 1)
        return key

    def published(self, key: str) -> list[int]:
        return [record.version for record in read_topic(self.broker.bootstrap, OWN) if record.key == key]


@pytest.fixture(scope="module")
def module(database_server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    with secured_broker(REAUTHENTICATION_MS) as broker, open_shop(database_server, broker) as shop:
        made = Secured(shop, broker, tmp_path_factory.mktemp("secured"))
        for user in USERS:
            broker.set_password(user, PASSWORD)
            made.file(user)
        broker.allow(*made.command("acls", "--json").lines())
        yield made


@pytest.fixture
def secured(module: Secured) -> Iterator[Secured]:
    """Give every user the password and the file of the beginning back."""
    yield module
    for user in USERS:
        module.file(user)


def test_every_program_is_let_in_by_its_settings_and_the_rules_that_are_printed(
    secured: Secured, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    secured.broker.delete_topic(UNREAD)
    monkeypatch.setenv("WAYBILL_KAFKA_BOOTSTRAP", secured.broker.addresses["secured"])
    monkeypatch.setenv("WAYBILL_KAFKA_PROPERTIES_FILE", str(secured.folder / "deploy.properties"))
    assert command.main(["topics", "--wait", "10"]) == 0
    assert f"{UNREAD}: created" in capsys.readouterr().out

    with secured.run("relay", "order_relay") as relay, secured.run("consumer", "order_service") as consumer:
        key = secured.append()
        secured.shop.list_product("LAMP")
        relay.wait_for("the event on its topic", lambda: secured.published(key) == [1])
        consumer.wait_for("the product", lambda: secured.shop.priced("LAMP"))
        assert (relay.errors, secured.shop.dead_letters()) == ([], [])
    with secured.run("relay", "order_relay") as relay:  # whose topics have records now: it reads the last of them
        relay.wait_for("the look for a restored database", lambda: "restore_checked" in relay.log, 90)


def test_the_command_works_by_the_rules_of_its_own_principal(secured: Secured):
    with secured.run("relay", "order_relay") as relay:
        key = secured.append()
        relay.wait_for("the event on its topic", lambda: secured.published(key) == [1])
    verified = secured.command("verify", "--no-rows")
    assert verified.code in {0, 1}, verified.err  # other tests leave dead letters; 4 would be the broker's refusal
    replayed = secured.command("replay", "--service", "order", "--aggregate", key, "--execute", "--reason", "a test")
    assert (replayed.code, secured.published(key)) == (0, [1, 1])
    grown = secured.command("grow", OWN, "--to", "99")
    assert "the relay of order is not paused" in grown.err


def test_a_relay_that_uses_transactions_waits_for_the_rules_that_are_printed_for_it(secured: Secured):
    with secured.run("relay", "order_relay", WAYBILL_RELAY_TRANSACTIONS="true") as relay:
        key = secured.append()
        relay.wait_for("the refusal", lambda: "ransactional" in (relay.unready() or ""))
        assert secured.published(key) == []
        printed = secured.command("acls", "--transactions", "--json").lines()
        secured.broker.allow(*(rule for rule in printed if rule["resource"] == "transactional-id"))
        relay.wait_for("the event on its topic", lambda: secured.published(key) == [1])


def test_what_the_rules_do_not_allow_is_refused(secured: Secured):
    refused = KafkaError.TOPIC_AUTHORIZATION_FAILED
    assert produced(secured.client("order_relay"), OWN) is None
    for user, topic in [("order_relay", FOREIGN), ("order_service", OWN), ("order_service", READ), ("deploy", OWN)]:
        assert produced(secured.client(user), topic) == refused, (user, topic)
    assert read(secured.client("order_service"), "order_service", READ) is None
    for user, group, topic in [
        ("order_service", "order_service", UNREAD),
        ("order_service", "inventory_service", READ),
        ("order_relay", "order_relay", OWN),
        ("deploy", "deploy", OWN),
        ("inventory_service", "inventory_service", OWN),  # it has a password, and no rule
    ]:
        assert read(secured.client(user), group, topic) in {refused, KafkaError.GROUP_AUTHORIZATION_FAILED}
    for user in ("order_relay", "order_service", "outbox", "deploy"):
        assert created(secured.client(user), "orders.events.v1") == refused, user


def test_an_event_for_another_services_topic_becomes_a_dead_letter_and_stops_nobody(secured: Secured):
    with secured.run("relay", "order_relay") as relay:
        secured.append(FOREIGN)
        key = secured.append()
        relay.wait_for("the event behind it", lambda: secured.published(key) == [1])
        letters = secured.shop.execute("SELECT headers->>'reason', headers->>'detail' FROM published WHERE status = -1")
        assert [reason for reason, _ in letters] == ["not_authorised"]


def test_a_consumer_that_may_not_use_its_group_says_so_until_it_may(secured: Secured):
    with secured.run("consumer", "inventory_service") as consumer:
        told = re.compile(r"topic: .*authorization failed.*; outbox acls tells", re.IGNORECASE)
        consumer.wait_for("the refusal", lambda: told.search(consumer.unready() or ""))
        granted = [
            {"principal": "User:inventory_service", "resource": kind, "name": name, "operations": ["Read"]}
            for kind, name in [("group", "order_service"), *(("topic", topic.name) for topic in topics())]
        ]
        secured.broker.allow(*granted)
        try:
            consumer.wait_for("its rights", lambda: consumer.unready() is None)
        finally:
            secured.broker.forbid("User:inventory_service")


def test_a_relay_that_is_refused_says_why_and_goes_on_without_a_restart_once_it_is_let_in(secured: Secured):
    other = Authority(secured.folder / "other.pem")
    wrong = [
        ({"password": "another word"}, "invalid credentials"),
        ({"ssl_ca_location": str(other.file)}, "unable to get local issuer certificate"),
        ({"listener": "expired"}, "certificate has expired"),
        ({"listener": "elsewhere"}, "IP address mismatch"),
    ]
    secured.file("order_relay", **wrong[0][0])
    with secured.run("relay", "order_relay") as relay:
        key = secured.append()
        for changed, says in wrong:
            secured.file("order_relay", **changed)
            relay.wait_for(says, lambda says=says: says in (relay.unready() or ""))
        secured.file("order_relay")
        relay.wait_for("the event on its topic", lambda: secured.published(key) == [1])
        relay.wait_for("readiness", lambda: relay.unready() is None)
        assert secured.shop.unpublished() == 0


def test_the_command_says_why_it_is_refused(secured: Secured):
    for changed, says in [
        ({"password": "another word"}, "invalid credentials"),
        ({"listener": "expired"}, "certificate has expired"),
    ]:
        secured.file("outbox", **changed)
        asked = secured.command("verify", "--no-rows")
        assert (asked.code, says in asked.err) == (4, True), asked.err
    secured.file("outbox", sasl_mechanism="SCRAM")
    asked = secured.command("verify", "--no-rows")
    assert (asked.code, asked.err.strip()) == (
        2,
        "outbox: WAYBILL_KAFKA_PROPERTIES_FILE: Failed to create producer: Unsupported SASL mechanism: SCRAM",
    )


def test_a_password_is_changed_under_relay_and_consumer_that_run_on(secured: Secured):
    with secured.run("relay", "order_relay") as relay, secured.run("consumer", "order_service") as consumer:
        running = {"order_relay": relay, "order_service": consumer}
        for one in running.values():
            one.wait_for("readiness", lambda one=one: one.unready() is None)
        try:
            for user, one in running.items():
                secured.broker.set_password(user, "a new word")
                one.wait_for("the old one refused", lambda one=one: "invalid credentials" in (one.unready() or ""))
            key = secured.append()
            secured.shop.list_product("CHAIR")
            for user, one in running.items():
                secured.file(user, "a new word")
                one.wait_for("readiness", lambda one=one: one.unready() is None)
            relay.wait_for("the event on its topic", lambda: secured.published(key) == [1])
            consumer.wait_for("the product", lambda: secured.shop.priced("CHAIR"))
            assert [event["user"] for event in consumer.events("kafka_login_renewed")] == ["order_service"]
        finally:
            for user in running:
                secured.broker.set_password(user, PASSWORD)


def test_a_client_is_known_by_its_certificate_where_the_broker_asks_for_one(secured: Secured):
    own = secured.broker.authority.issue(secured.folder / "auditor.pem")
    secured.broker.allow(*secured.command("acls", "--subscriber", "CN=auditor", "--topic", OWN, "--json").lines())
    tls = {
        "bootstrap.servers": secured.broker.addresses["mutual"],
        "security.protocol": "ssl",
        "ssl.ca.location": str(secured.broker.authority.file),
        "ssl.certificate.location": str(own),
        "ssl.key.location": str(own),
        "logger": SILENT,
    }
    assert read(tls, "CN=auditor", OWN) is None
    assert produced(tls, OWN) == KafkaError.TOPIC_AUTHORIZATION_FAILED


def test_doctor_finds_what_a_deployment_risks(secured: Secured, kafka: str):
    asked = secured.command("doctor", "--deploy", "--json")
    said = {(one["at"], re.sub(r"\d", "N", one["says"].partition(":")[0])) for one in asked.lines()}
    assert asked.code == 1
    assert said - {("__consumer_offsets", "it has N of N replicas")} == {
        ("Kafka", "it has N brokers of N"),
        *((topic.name, "it has N of N replicas") for topic in topics()),
        *((topic.name, "min.insync.replicas is N") for topic in topics()),
    }
    open_to_all = outbox("doctor", "--deploy", "--json", **settings(kafka, order=secured.shop.database.service_url))
    assert {"we do not say who we are, so nobody can be refused"} <= {one["says"] for one in open_to_all.lines()}
    assert any(one["says"].startswith("it has no authorizer") for one in open_to_all.lines())


def produced(client: dict[str, Any], topic: str) -> int | None:
    """Return the code with which a record is refused; None where it is taken."""
    codes: list[int | None] = []
    producer = Producer({**client, "message.timeout.ms": 10_000})
    producer.produce(topic, b"x", on_delivery=lambda error, _: codes.append(error and error.code()))
    assert producer.flush(15) == 0
    return codes[0]


def read(client: dict[str, Any], group: str, topic: str) -> int | None:
    """Return the code with which reading is refused; None where the group is given partitions."""
    # As the consumer has it, whose place in the group may still be kept.
    consumer = Consumer({**client, "group.id": group, "partition.assignment.strategy": "cooperative-sticky"})
    consumer.subscribe([topic])
    codes: list[int] = []

    def look() -> bool:
        message = consumer.poll(0.1)
        if message is not None and (error := message.error()) is not None:
            codes.append(error.code())
        return bool(codes or consumer.assignment())

    try:
        wait_until(look, deadline_seconds=15, what="an answer")
    finally:
        consumer.close()
    return codes[0] if codes else None


def created(client: dict[str, Any], topic: str) -> int | None:
    """Return the code with which a new topic is refused; None where it is created."""
    admin = AdminClient(client)
    try:
        admin.create_topics([NewTopic(topic, 1, 1)])[topic].result(10)
    except KafkaException as error:
        return error.args[0].code()
    return None

"""Teams in Node, Go and Python subscribe with their own libraries: our examples for them, on real parts.

The broker is the tests' own, so that its topics hold what is published here and nothing else, under their real names.
It has TLS and passwords, and each subscriber may do no more than `outbox acls --subscriber` allows.
"""

import os
import subprocess
import sys
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

import pytest
from confluent_kafka import Producer

from devstack.harness.databases import Server
from devstack.harness.stack import CHECKOUT, Stack
from outbox_relay.operations.topics import access_control
from tests.support import subscribers
from tests.support.golden import Golden
from tests.support.relays import Outbox, Record, read_topic, relay
from tests.support.secured_broker import SecuredBroker, secured_broker
from tests.support.subscribers import Subscriber, subscriber
from tests.support.tls_registry import PASSWORD, TOKEN, USER, Gateway, guarded
from waybill.contracts.contracts import load
from waybill.contracts.topics import topics

LANGUAGES = [subscribers.python, subscribers.node, subscribers.go]
each_language = pytest.mark.parametrize("language", LANGUAGES, ids=lambda language: language.__name__)
# A cold download and build are within it.
pytestmark = pytest.mark.timeout(900)

KEYS, ROUNDS = 3, 3
KILLED_AFTER = 50
ODD = ("tombstone", "magic", "unknown", "truncated", "headless")
INSERT = """
INSERT INTO waybill_outbox (event_id, topic, aggregate_type, aggregate_id, aggregate_version, event_type,
                    schema_version, payload, metadata)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, '{}')
"""


@dataclass
class Feed:
    """What is on the topics, and how a subscriber reaches it."""

    broker: SecuredBroker
    outbox: Outbox
    gateway: Gateway
    published: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Event id → what a subscriber should have of it."""
    odd: dict[str, str] = field(default_factory=dict)
    """Place of a record that no one can read → its key."""

    def topics(self) -> list[str]:
        return sorted(topic.name for topic in topics() if not topic.written_by)

    def publish(self, keys: int, rounds: int) -> None:
        """Append every version of every public event, by topic in turn, to new aggregates; returns when it is out."""
        with self.outbox.connect(autocommit=False) as connection:
            for topic in self.topics():
                contracts = [contract for contract in load() if contract.topic == topic] * rounds
                for _ in range(keys):
                    key = f"{topic}-{uuid.uuid4().hex[:8]}"
                    for number, contract in enumerate(contracts, 1):
                        golden, event_id = Golden.read(contract), str(uuid.uuid4())
                        row = (event_id, topic, contract.schema["aggregate"], key, number)
                        connection.execute(INSERT, (*row, contract.event_type, contract.version, golden.payload))
                        self.published[event_id] = {
                            "topic": topic,
                            "key": key,
                            "version": number,
                            "type": contract.event_type,
                            "event": golden.fields,
                        }
        self.outbox.wait_for_cursor(self._end(), deadline_seconds=60)

    def send(self, records: list[tuple[Record, dict[str, str]]]) -> None:
        """Put records on their topics past the relay, with more headers."""
        producer = Producer({"bootstrap.servers": self.broker.bootstrap, "partitioner": "murmur2_random"})
        for record, more in records:
            headers = {name: value for name, value in (record.headers | more).items() if value}
            value = record.value or None
            producer.produce(record.place.split("/")[0], value, record.key, headers=list(headers.items()))
        assert producer.flush(10) == 0

    def records(self) -> list[Record]:
        return [record for topic in self.topics() for record in read_topic(self.broker.bootstrap, topic)]

    def subscriber(self, language: Callable[[], list[str]]) -> Any:
        """Give a subscriber of a new group, which has not started."""
        group = f"{language.__name__}-{uuid.uuid4().hex[:8]}"
        rules = [rule._asdict() for rule in access_control.of_subscriber(group, self.topics())]
        return subscriber(
            language(),
            GROUP=group,
            **self.broker.let_in(group, *rules),
            REGISTRY_URL=self.gateway.url,
            REGISTRY_CA_FILE=str(self.gateway.certificates.ca_file),
        )

    def _end(self) -> int:
        return self.outbox.execute("SELECT max(position) FROM waybill_outbox")[0][0]


@pytest.fixture(scope="module")
def feed(stack: Stack, database_server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Feed]:
    registry = f"{stack.urls['registry']}/apis/ccompat/v7"
    folder = tmp_path_factory.mktemp("certificates")
    with (
        secured_broker() as broker,
        database_server.fresh("order_service") as database,
        guarded(registry, folder) as gateway,
    ):
        _schemas("topics", WAYBILL_KAFKA_BOOTSTRAP=broker.bootstrap)
        _schemas("register", WAYBILL_REGISTRY_URL=registry, WAYBILL_OWNER_DATABASE_URLS=database.owner_url)
        outbox = Outbox(database, broker.bootstrap, "order.events.v1")
        with relay(outbox):
            feed = Feed(broker, outbox, gateway)
            feed.publish(KEYS, ROUNDS)
            _add_what_happens(feed)
            yield feed


def _schemas(step: str, **environment: str) -> None:
    command = [sys.executable, "-m", "waybill", "contracts", step]
    subprocess.run(command, cwd=CHECKOUT, env=os.environ | environment, check=True, timeout=60, capture_output=True)


def _add_what_happens(feed: Feed) -> None:
    """Send copies, as after a crash of the relay; replays; and records that nobody can read, with good ones behind."""
    good = feed.records()
    replay = {"ce_replayid": str(uuid.uuid4())}
    feed.send([(record, {}) for record in good[::3]])
    feed.send([(record, replay) for record in good[::5]])
    feed.send(
        [(record, replay | {"ce_replaytarget": "somebody-else", "ce_replayreprocess": "true"}) for record in good[:5]]
    )
    sample = next(record for record in good if record.place.startswith("order.events.v1/"))
    odd = {
        "tombstone": (b"", {}),
        "magic": (b"\x01" + sample.value[1:], {}),
        "unknown": (b"\x00\x7f\xff\xff\xff" + sample.value[5:], {}),
        "truncated": (sample.value[:-3], {}),
        "headless": (sample.value, {"ce_id": ""}),
    }
    sent: list[tuple[Record, dict[str, str]]] = []
    for kind, (value, more) in odd.items():
        for each_value, each_more in ((value, more), (sample.value, {})):
            fresh = {"ce_id": str(uuid.uuid4()), "ce_subject": kind}
            sent.append((Record(kind, sample.headers, each_value, sample.place), fresh | each_more))
    feed.send(sent)
    feed.odd = {record.place: record.key for record in feed.records() if record.key in odd}
    assert len(feed.odd) == 2 * len(ODD)


def _plain(value: Any) -> Any:
    """Give numbers as text: JSON of other languages has no long."""
    match value:
        case dict():
            return {name: _plain(each) for name, each in value.items()}
        case list():
            return [_plain(each) for each in value]
        case bool() | None | str():
            return value
        case _:
            return str(value)


def assert_each_once_and_in_order(feed: Feed, reader: Subscriber) -> None:
    handled, aside = reader.show()
    found = {
        entry["id"]: {name: entry[name] for name in ("topic", "key", "version", "type", "event")} for entry in handled
    }
    assert len(handled) == len(found)
    assert _plain(found) == _plain(feed.published)
    versions: dict[str, list[int]] = defaultdict(list)
    for entry in handled:
        versions[entry["key"]].append(entry["version"])
    assert all(seen == list(range(1, len(seen) + 1)) for seen in versions.values()), versions
    assert {f"{entry['topic']}/{entry['partition']}/{entry['offset']}": entry["key"] for entry in aside} == feed.odd


@each_language
def test_every_event_is_handled_once_and_in_order_by_a_subscriber_that_is_killed(feed: Feed, language):
    with feed.subscriber(language) as reader:
        feed.gateway.away = True
        try:
            reader.start(REGISTRY_USER=USER, REGISTRY_PASSWORD=PASSWORD)
            reader.until(lambda _: reader.done("waits registry:"), "waiting for the registry")
        finally:
            feed.gateway.away = False
        assert reader.done("handled") == 0
        reader.until(lambda _: reader.done("handled") >= KILLED_AFTER, "the middle")
        reader.kill()
        assert len(reader.show()[0]) < len(feed.published)

        reader.start(REGISTRY_TOKEN=TOKEN)
        last = {record.place for record in feed.records()}
        ends = {place.rpartition("/")[0]: place for place in sorted(last, key=lambda p: int(p.rpartition("/")[2]))}
        reader.until(lambda _: set(ends.values()) <= reader.places(), "the end of every partition")
        assert reader.stop() == 0
        assert reader.lines[-1] == "stopped"
        assert reader.ever("repeat")
        assert reader.ever("for another group")
        assert_each_once_and_in_order(feed, reader)
        _reasons(reader)


def _reasons(reader: Subscriber) -> None:
    said: dict[str, list[str]] = defaultdict(list)
    for entry in reader.show()[1]:
        said[entry["key"]].append(entry["aside"])
    for key, reason in {
        "tombstone": "no value: a tombstone",
        "magic": "no Confluent frame",
        "unknown": "schema id 2147483647 is not in the registry",
        "truncated": "not what its schema says",
        "headless": "no header ce_id",
    }.items():
        first, behind = said[key]
        assert first.startswith(reason)
        assert behind == "behind one of its key that was set aside"


@pytest.mark.slow
@each_language
def test_a_replay_is_told_from_news_and_handled_again_where_that_is_asked_for(feed: Feed, language):
    with feed.subscriber(language) as reader:
        reader.start(REGISTRY_TOKEN=TOKEN)
        reader.until(lambda _: reader.done("handled") == len(feed.published), "all that is there")
        asked = {"ce_replayid": str(uuid.uuid4()), "ce_replaytarget": reader.group, "ce_replayreprocess": "true"}
        found = read_topic(feed.broker.bootstrap, "order.events.v1")
        record = next(one for one in found if one.headers.get("ce_id") in feed.published)  # one that can be read
        older = record.headers | {"ce_id": str(uuid.uuid4()), "ce_sequence": "1"}
        new = Record(record.key, older, record.value, record.place)
        feed.send([(record, asked), (record, asked), (new, {**asked, "ce_replayreprocess": ""})])
        reader.until(lambda _: reader.done("handled again") and reader.done("replay"), "the replay")
        assert reader.stop() == 0
        assert (reader.done("handled again"), reader.done("replay")) == (1, 1)
        replayed = [entry for entry in reader.show()[0] if entry.get("replay") == asked["ce_replayid"]]
        assert [entry["id"] for entry in replayed] == [
            f"{record.headers['ce_id']}:{asked['ce_replayid']}",
            older["ce_id"],
        ]


@pytest.mark.slow
def test_subscribers_go_on_after_the_broker_was_away(feed: Feed):
    with ExitStack() as all_of_them:
        readers: list[Subscriber] = []
        for language in LANGUAGES:
            try:
                readers.append(all_of_them.enter_context(feed.subscriber(language)))
            except pytest.skip.Exception:
                continue
        before = len(feed.published)
        for reader in readers:
            reader.start(REGISTRY_TOKEN=TOKEN)
        for reader in readers:
            reader.until(lambda _, reader=reader: reader.done("handled") == before, "all that is there")
        feed.broker.kill()
        feed.broker.start()
        feed.publish(1, 1)
        for reader in readers:
            reader.until(lambda _, reader=reader: reader.done("handled") == len(feed.published), "what came since")
            assert reader.stop() == 0
            assert_each_once_and_in_order(feed, reader)


def test_the_python_one_asks_for_the_version_that_it_is_tested_with():
    wanted = (subscribers.EXAMPLES / "subscriber-python" / "requirements.txt").read_text()
    assert wanted.strip().endswith(f"=={version('confluent-kafka')}")

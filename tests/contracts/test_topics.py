"""The broker has every topic as `topics.toml` says; what differs is told with its remedy, and never altered."""

import uuid
from collections.abc import Iterator, Mapping
from typing import Any, cast

import pytest
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, ResourceType

from devstack.harness.wait import wait_until
from waybill.contracts import topics as declared
from waybill.contracts.command import main
from waybill.contracts.topics import FOR_EVER, Topic, topics
from waybill.kafka.create_topics import create_missing

DEADLINE_SECONDS = 30.0
NAMES = [topic.name for topic in topics()]


def described(bootstrap: str, names: list[str]) -> dict[str, tuple[int, Mapping[str, str]]]:
    """Each topic that is there: how many partitions, and its settings."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    found = admin.list_topics(timeout=DEADLINE_SECONDS).topics
    resources = [ConfigResource(ResourceType.TOPIC, name) for name in names if name in found]
    answers = admin.describe_configs(resources).items() if resources else ()
    configs = {one.name: cast("dict[str, Any]", future.result()) for one, future in answers}
    return {
        name: (len(found[name].partitions), {key: one.value for key, one in config.items()})
        for name, config in configs.items()
    }


@pytest.fixture
def topic(monkeypatch: pytest.MonkeyPatch, kafka_bootstrap: str) -> Iterator[Topic]:
    """All that is meant is one topic of the test's own, which is not there yet."""
    own = Topic(name=f"order.{uuid.uuid4().hex[:8]}.v1")
    monkeypatch.setattr(declared, "topics", lambda: (own,))
    monkeypatch.setenv("WAYBILL_KAFKA_BOOTSTRAP", kafka_bootstrap)
    yield own
    admin = AdminClient({"bootstrap.servers": kafka_bootstrap})
    for answer in admin.delete_topics([own.name]).values():
        answer.exception(DEADLINE_SECONDS)


def create(bootstrap: str, topic: Topic, partitions: int, **config: str) -> None:
    admin = AdminClient({"bootstrap.servers": bootstrap})
    settings = topic.config() | {name.replace("_", "."): value for name, value in config.items()}
    admin.create_topics([NewTopic(topic.name, partitions, 1, config=settings)])[topic.name].result(DEADLINE_SECONDS)
    # The answer may come before the broker itself has heard of the topic.
    wait_until(
        lambda: topic.name in admin.list_topics(timeout=DEADLINE_SECONDS).topics,
        deadline_seconds=DEADLINE_SECONDS,
        what="the topic is there",
    )


def test_missing_topics_are_created_as_described(kafka_bootstrap: str) -> None:
    create_missing(topics(), kafka_bootstrap, DEADLINE_SECONDS)
    found = described(kafka_bootstrap, NAMES)
    for one in topics():
        partitions, config = found[one.name]
        assert partitions == one.partitions
        assert {name: config[name] for name in one.config()} == one.config()


def test_creating_again_says_that_all_exist_and_that_nothing_differs(kafka_bootstrap: str) -> None:
    create_missing(topics(), kafka_bootstrap, DEADLINE_SECONDS)
    outcomes = create_missing(topics(), kafka_bootstrap, DEADLINE_SECONDS)
    assert [one.says for one in outcomes] == [
        f"{one.name}: exists, {one.partitions} partitions, 1 replica" for one in topics()
    ]
    assert not [line for one in outcomes for line in one.differences]


def test_the_products_are_kept_for_ever_and_whole() -> None:
    (products,) = (one for one in topics() if one.name == "inventory.products.v1")
    assert products.retention_days == FOR_EVER
    assert products.config().items() >= {
        ("cleanup.policy", "delete"),
        ("retention.ms", "-1"),
        ("retention.bytes", "-1"),
    }


def test_checking_creates_nothing_and_leaves_with_1(
    topic: Topic, kafka_bootstrap: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["topics", "--check"]) == 1
    said = capsys.readouterr()
    assert said.out == f"{topic.name}: missing\n"
    assert said.err == f"contracts: {topic.name} is missing; create it with: python -m waybill contracts topics\n"
    assert described(kafka_bootstrap, [topic.name]) == {}
    monkeypatch.setenv("WAYBILL_TOPICS_REPLICATION", "1")
    monkeypatch.setenv("WAYBILL_TOPICS_MIN_INSYNC", "1")
    assert main(["topics"]) == 0
    assert capsys.readouterr().out == f"{topic.name}: created, 6 partitions, kept 14 days\n"
    assert described(kafka_bootstrap, [topic.name])[topic.name][1]["min.insync.replicas"] == "1"
    assert main(["topics", "--check"]) == 0


def test_what_differs_is_told_with_its_remedy_and_left_as_it_is(
    topic: Topic, kafka_bootstrap: str, capsys: pytest.CaptureFixture[str]
) -> None:
    create(kafka_bootstrap, topic, 3, retention_ms="3600000", cleanup_policy="compact", max_message_bytes="2000000")
    before = described(kafka_bootstrap, [topic.name])
    assert main(["topics"]) == 0
    assert main(["topics", "--check"]) == 1
    told = capsys.readouterr().err.splitlines()
    assert told[:4] == told[4:]
    alter = (
        f"kafka-configs.sh --bootstrap-server {kafka_bootstrap} --alter --entity-type topics --entity-name {topic.name}"
    )
    left = "is meant; left as it is, change it with:"
    assert told[:4] == [
        f"contracts: {topic.name}: {line}"
        for line in (
            f"partitions is 3, and 6 {left} outbox grow {topic.name} --to 6 --execute --reason '…'",
            f"cleanup.policy is compact, and delete {left} {alter} --add-config cleanup.policy=delete",
            f"retention.ms is 3600000, and 1209600000 {left} {alter} --add-config retention.ms=1209600000",
            f"max.message.bytes is 2000000, and 1048576 {left} {alter} --add-config max.message.bytes=1048576",
        )
    ]
    assert described(kafka_bootstrap, [topic.name]) == before


def test_more_partitions_than_are_meant_stay(
    topic: Topic, kafka_bootstrap: str, capsys: pytest.CaptureFixture[str]
) -> None:
    create(kafka_bootstrap, topic, 8)
    assert main(["topics", "--check"]) == 1
    assert "write partitions=8 for it into topics.toml" in capsys.readouterr().err


def test_more_copies_than_the_cluster_can_keep_are_refused_with_the_remedy(
    topic: Topic, kafka_bootstrap: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WAYBILL_TOPICS_REPLICATION", "3")
    assert main(["topics"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "set WAYBILL_TOPICS_REPLICATION to what the cluster has brokers for" in line
    create(kafka_bootstrap, topic, 6, min_insync_replicas="2")
    assert main(["topics", "--check"]) == 1
    few, stuck = capsys.readouterr().err.splitlines()
    assert f"{topic.name}: replicas is 1, and 3 is meant" in few
    assert f"{topic.name}: min.insync.replicas is 2 with 1 of them, so that nothing can be published" in stuck

"""The broker has every topic as `schemas.topics` says, and creating them again changes nothing."""

from typing import Any, cast

from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType

from schemas.create_topics import create_missing
from schemas.topics import TOPICS

DEADLINE_SECONDS = 30.0


def test_missing_topics_are_created_as_described(kafka_bootstrap: str) -> None:
    create_missing(kafka_bootstrap, DEADLINE_SECONDS)
    admin = AdminClient({"bootstrap.servers": kafka_bootstrap})
    found = admin.list_topics(timeout=DEADLINE_SECONDS).topics
    resources = [ConfigResource(ResourceType.TOPIC, topic.name) for topic in TOPICS]
    configs = {resource.name: future.result() for resource, future in admin.describe_configs(resources).items()}
    for topic in TOPICS:
        assert len(found[topic.name].partitions) == topic.partitions
        entries = cast("dict[str, Any]", configs[topic.name])
        assert {name: entries[name].value for name in topic.config()} == topic.config()


def test_creating_again_says_that_all_exist(kafka_bootstrap: str) -> None:
    create_missing(kafka_bootstrap, DEADLINE_SECONDS)
    lines = create_missing(kafka_bootstrap, DEADLINE_SECONDS)
    assert lines == [f"{topic.name}: exists, {topic.partitions} partitions" for topic in TOPICS]

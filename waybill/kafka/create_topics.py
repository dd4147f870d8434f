"""The deployment step that creates the topics that are missing, and compares those that exist with what is meant.

It never shrinks, alters or deletes: a topic that differs may have been changed on purpose, and most changes cannot be
taken back. Each difference is told with the command that changes it.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (
    AdminClient,
    ConfigResource,  # pyright: ignore[reportPrivateImportUsage] - as documented
    NewTopic,  # pyright: ignore[reportPrivateImportUsage]
    ResourceType,  # pyright: ignore[reportPrivateImportUsage]
)

from waybill.contracts.topics import Copies, Topic
from waybill.kafka import access
from waybill.kafka.kafka_client import connection
from waybill.registry.reach import NotYet, Unreachable, until_reached

_BROKERS_OWN_REPLICATION: Final = -1  # Kafka's word for: as the brokers' default says
_CALL_SECONDS: Final = 10.0  # of one call; the deployment step itself retries until its deadline
_BROKER_AWAY: Final = {KafkaError._TRANSPORT, KafkaError._TIMED_OUT}  # noqa: SLF001 - librdkafka's own codes
_MIN_INSYNC: Final = "min.insync.replicas"


class TopicRefused(Exception):
    """The broker answered, and does not let us create a topic."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a topic, in a line, and a line on each difference from what is meant."""

    says: str
    differences: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Found:
    """A topic as the broker has it; no settings where it does not let us read them."""

    partitions: int
    replicas: int
    config: Mapping[str, str] | None


def create_missing(
    topics: Sequence[Topic],
    bootstrap: str,
    deadline_seconds: float,
    properties_file: str | None = None,
    *,
    copies: Copies | None = None,
    check_only: bool = False,
) -> list[Outcome]:
    """Create the topics that the broker does not have, unless only asked to check, and tell of each.

    Blocks while the broker starts.

    Raises:
        TopicRefused: The broker refuses a topic.
        Unreachable: No broker answered before the deadline, or let us in.
        ValueError: The properties file cannot be read, or no client can be made of it.

    """
    options = connection(bootstrap, properties_file)
    access.check(options)
    admin = AdminClient(
        {
            **options,
            # librdkafka's own back-off grows to 10 s, which a starting broker would wait out.
            "reconnect.backoff.max.ms": 250,
            "socket.connection.setup.timeout.ms": 2000,
        },
        logger=_silent(),
    )
    wanted = copies or Copies()
    try:
        return until_reached(
            f"Kafka at {bootstrap}",
            lambda: _compare(admin, topics, bootstrap, wanted, check_only=check_only),
            deadline_seconds,
        )
    except Unreachable as error:
        refused = access.refusal(options)
        raise (Unreachable(f"Kafka at {bootstrap}: {refused}") if refused else error) from None


def _compare(
    admin: AdminClient, topics: Sequence[Topic], bootstrap: str, copies: Copies, *, check_only: bool
) -> list[Outcome]:
    found = _find(admin, topics)
    missing = [topic for topic in topics if topic.name not in found]
    if missing and not check_only:
        _create(admin, missing, copies)
    return [
        _existing(topic, found[topic.name], copies, bootstrap)
        if topic.name in found
        else _missing(topic)
        if check_only
        else Outcome(f"{topic.name}: created, {topic.partitions} partitions, {topic.retention}")
        for topic in topics
    ]


def _find(admin: AdminClient, topics: Sequence[Topic]) -> dict[str, _Found]:
    try:
        known = admin.list_topics(timeout=1).topics
    except KafkaException as error:
        raise NotYet(_text(error)) from None
    names = [topic.name for topic in topics if topic.name in known]
    configs = _configs(admin, names)
    return {
        name: _Found(
            len(known[name].partitions),
            min((len(partition.replicas) for partition in known[name].partitions.values()), default=0),
            configs[name],
        )
        for name in names
    }


def _configs(admin: AdminClient, names: list[str]) -> dict[str, Mapping[str, str] | None]:
    resources = [ConfigResource(ResourceType.TOPIC, name) for name in names]
    if not resources:
        return {}
    answers = cast("Any", admin).describe_configs(resources, request_timeout=_CALL_SECONDS)
    configs: dict[str, Mapping[str, str] | None] = {}
    for resource, answer in answers.items():
        try:
            configs[str(resource.name)] = {name: str(entry.value) for name, entry in answer.result().items()}
        except KafkaException as error:
            cause = error.args[0]
            if cause.code() != KafkaError.TOPIC_AUTHORIZATION_FAILED:
                raise NotYet(_text(error)) from None
            configs[str(resource.name)] = None
    return configs


def _create(admin: AdminClient, missing: list[Topic], copies: Copies) -> None:
    replication = copies.replication or _BROKERS_OWN_REPLICATION
    new = [NewTopic(t.name, t.partitions, replication, config=t.config() | copies.config()) for t in missing]
    answers = admin.create_topics(  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType] - bare Future
        new,
        operation_timeout=_CALL_SECONDS,
        request_timeout=_CALL_SECONDS,
    )
    for topic in missing:
        try:
            answers[topic.name].result()
        except KafkaException as error:
            _judge(topic, error)


def _missing(topic: Topic) -> Outcome:
    create = "create it with: python -m waybill contracts topics"
    return Outcome(f"{topic.name}: missing", (f"{topic.name} is missing; {create}",))


def _existing(topic: Topic, found: _Found, copies: Copies, bootstrap: str) -> Outcome:
    replicas = "1 replica" if found.replicas == 1 else f"{found.replicas} replicas"
    says = f"{topic.name}: exists, {found.partitions} partitions, {replicas}"
    return Outcome(says, tuple(_differences(topic, found, copies, bootstrap)))


def _differences(topic: Topic, found: _Found, copies: Copies, bootstrap: str) -> Iterator[str]:
    if found.partitions < topic.partitions:
        remedy = f"outbox grow {topic.name} --to {topic.partitions} --execute --reason '…'"
        yield _differs(topic, "partitions", found.partitions, topic.partitions, remedy)
    elif found.partitions > topic.partitions:
        remedy = f"Kafka takes none away, so write partitions={found.partitions} for it into topics.toml"
        yield _differs(topic, "partitions", found.partitions, topic.partitions, remedy)
    if copies.replication not in (None, found.replicas):
        remedy = f"kafka-reassign-partitions.sh --bootstrap-server {bootstrap} --reassignment-json-file … --execute"
        yield _differs(topic, "replicas", found.replicas, copies.replication, remedy)
    if found.config is None:
        yield f"{topic.name}: its settings cannot be compared; grant DescribeConfigs on it"
        return
    for name, meant in (topic.config() | copies.config()).items():
        if (value := found.config.get(name)) != meant:
            yield _differs(topic, name, value, meant, _alter(topic, name, meant, bootstrap))
    if int(found.config.get(_MIN_INSYNC, 1)) > found.replicas:
        value = f"{found.config[_MIN_INSYNC]} with {found.replicas} of them, so that nothing can be published"
        remedy = _alter(topic, _MIN_INSYNC, str(found.replicas), bootstrap)
        yield _differs(topic, _MIN_INSYNC, value, f"{found.replicas} at most", remedy)


def _differs(topic: Topic, name: str, value: object, meant: object, remedy: str) -> str:
    return f"{topic.name}: {name} is {value}, and {meant} is meant; left as it is, change it with: {remedy}"


def _alter(topic: Topic, name: str, meant: str, bootstrap: str) -> str:
    return (
        f"kafka-configs.sh --bootstrap-server {bootstrap} --alter --entity-type topics --entity-name {topic.name}"
        f" --add-config {name}={meant}"
    )


def _judge(topic: Topic, error: KafkaException) -> None:
    """Let pass what another deployment step created meanwhile, and ask for another attempt where one may help."""
    cause = error.args[0]
    if cause.code() == KafkaError.TOPIC_ALREADY_EXISTS:
        return
    if cause.retriable() or cause.code() in _BROKER_AWAY:
        raise NotYet(_text(error)) from None
    remedy = (
        "; set WAYBILL_TOPICS_REPLICATION to what the cluster has brokers for"
        if cause.code() == KafkaError.INVALID_REPLICATION_FACTOR
        else ""
    )
    raise TopicRefused(f"{topic.name}: {_text(error)}{remedy}") from None


def _text(error: KafkaException) -> str:
    return str(error.args[0].str())


def _silent() -> logging.Logger:
    """Give a logger for librdkafka, which would print each failed attempt; the last one is reported here."""
    logger = logging.Logger("librdkafka")  # noqa: LOG001 - not in the tree of loggers, so nothing prints it
    logger.addHandler(logging.NullHandler())
    return logger

"""What the broker is asked: whether it answers, and what each topic takes."""

import logging
import re
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import (
    AclOperation,  # pyright: ignore[reportPrivateImportUsage] - exported, but not in the stub's __all__
    AdminClient,
    ConfigResource,  # pyright: ignore[reportPrivateImportUsage]
    ResourceType,  # pyright: ignore[reportPrivateImportUsage]
)

from waybill.kafka import access

ANSWER_SECONDS: Final = 2.0  # of one call; well below the 15 s without a heartbeat after which a standby takes over
LEGAL_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,249}")
DEFAULT_MAX_BYTES: Final = 1_048_588  # Kafka's own default, for a relay that may not read a topic's configuration

SILENT: Final = logging.getLogger("outbox_relay.librdkafka")  # it writes a line an attempt; ours are a line a change
SILENT.addHandler(logging.NullHandler())
SILENT.propagate = False


class BrokerUnavailable(Exception):
    """The broker takes nothing for now, or a producer is spent; nothing is known to be wrong with a record."""


@dataclass(frozen=True, slots=True)
class Topic:
    """What the broker said of one topic, and when (monotonic seconds)."""

    exists: bool
    writable: bool
    max_bytes: int
    partitions: int = 0
    asked_at: float = field(default_factory=time.monotonic)


def describe(kafka: Mapping[str, str], names: Collection[str]) -> dict[str, Topic]:
    """Ask for existence, rights and size limit of topics; blocks up to 6 s. Raises BrokerUnavailable.

    The client is made for the occasion: this is asked rarely, and an idle one costs threads and connections.
    """
    try:
        return _describe(kafka, names)
    except BrokerUnavailable:
        if refused := access.refusal(kafka):
            raise BrokerUnavailable(refused) from None
        raise


def _describe(kafka: Mapping[str, str], names: Collection[str]) -> dict[str, Topic]:
    found = {name: Topic(exists=False, writable=False, max_bytes=DEFAULT_MAX_BYTES) for name in names}
    names = [name for name in names if LEGAL_NAME.fullmatch(name)]  # the client raises on an empty one
    if not names:
        return found
    # The stub knows no logger, nor its futures' types.
    options: Any = {**kafka, "logger": SILENT}
    client: Any = AdminClient(options)
    wanted = TopicCollection(sorted(names))
    described = client.describe_topics(wanted, include_authorized_operations=True, request_timeout=ANSWER_SECONDS)
    answers = {name: _answer(future) for name, future in described.items()}
    resources = [ConfigResource(ResourceType.TOPIC, name) for name, one in answers.items() if one and one.operations]
    limits: dict[str, int] = {}
    if resources:
        for resource, future in client.describe_configs(resources, request_timeout=ANSWER_SECONDS).items():
            limits[str(resource.name)] = _limit(future)
    return found | {
        name: Topic(
            exists=True,
            writable=AclOperation.WRITE in one.operations,
            max_bytes=limits.get(name, DEFAULT_MAX_BYTES),
            partitions=one.partitions,
        )
        for name, one in answers.items()
        if one is not None
    }


class _Answer(NamedTuple):
    operations: list[Any]
    partitions: int


def _answer(future: Any) -> _Answer | None:
    try:
        found = future.result()
        return _Answer(list(found.authorized_operations or ()), len(found.partitions))
    except KafkaException as error:
        match _code(error):
            case KafkaError.UNKNOWN_TOPIC_OR_PART | KafkaError.TOPIC_EXCEPTION:
                return None
            case KafkaError.TOPIC_AUTHORIZATION_FAILED:
                return _Answer([], 0)
            case _:
                raise BrokerUnavailable(reason_of(error)) from None


def _limit(future: Any) -> int:
    try:
        return int(future.result()["max.message.bytes"].value)
    except KafkaException as error:
        if _code(error) in {KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.UNKNOWN_TOPIC_OR_PART}:
            return DEFAULT_MAX_BYTES
        raise BrokerUnavailable(reason_of(error)) from None


def _code(error: KafkaException) -> int:
    reason: Any = error.args[0]
    return int(reason.code())


def reason_of(error: BaseException) -> str:
    """Return what librdkafka says, on one line."""
    cause = error if isinstance(error, KafkaException) else error.__cause__ or error
    reason: Any = cause.args[0] if cause.args else cause
    return " ".join((reason.str() if isinstance(reason, KafkaError) else str(reason)).split())

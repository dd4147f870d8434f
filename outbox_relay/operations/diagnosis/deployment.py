"""What of a deployment could lose events, or show them to others, though nothing is wrong now.

Asked of the servers themselves, and not of files that describe them. What the programs set for their own sessions
(`RELIED_ON` in waybill/database/postgres_client.py) is not asked again.
"""

from collections.abc import Iterator, Mapping
from ipaddress import ip_address
from typing import Any, Final, NamedTuple

import psycopg
from confluent_kafka import KafkaException
from confluent_kafka.admin import (
    AdminClient,
    ConfigResource,  # pyright: ignore[reportPrivateImportUsage] - exported, but not in the stub's __all__
    ResourceType,  # pyright: ignore[reportPrivateImportUsage]
)

from outbox_relay.operations.topology import broker_down
from outbox_relay.relay.kafka.broker import SILENT
from waybill.contracts.topics import topics

ANSWER_SECONDS: Final = 5.0  # of one call to the broker
BROKERS, REPLICAS, MIN_INSYNC = 3, 3, 2  # one may be away, and what is acknowledged is on two
OFFSETS: Final = "__consumer_offsets"
KAFKA: Final = "Kafka"
REASSIGN: Final = "kafka-reassign-partitions.sh --reassignment-json-file … --execute"
SETTINGS: Final = """
SELECT current_setting('fsync'), current_setting('full_page_writes'), current_setting('autovacuum'),
       current_setting('synchronous_standby_names') <> '', (SELECT count(*) FROM pg_stat_replication)
"""
OFF: Final = {
    "fsync": "a crash of the machine can lose what was committed, and damage the rest",
    "full_page_writes": "a crash of the machine can leave pages half written",
    "autovacuum": "append-only tables are never frozen, until the server refuses writes",
}


class Risk(NamedTuple):
    """One thing that should be otherwise in production: where, what it means, how it is changed."""

    at: str
    says: str
    next: str


def of_database(service: str, connection: psycopg.Connection) -> list[Risk]:
    """Return what is wrong with a service's server and with the way to it. Raises psycopg.Error."""
    (*flags, synchronous, standbys) = connection.execute(SETTINGS).fetchone() or ("", "", "", False, 0)
    return [
        *(
            Risk(service, f"{name} is off: {why}", f"ALTER SYSTEM SET {name} = on")
            for (name, why), value in zip(OFF.items(), flags, strict=True)
            if value != "on"
        ),
        *_standbys(service, standbys, synchronous=synchronous),
        *_encryption(service, connection),
    ]


def _standbys(service: str, standbys: int, *, synchronous: bool) -> Iterator[Risk]:
    if standbys and not synchronous:
        says = "it has standbys, and none is synchronous: a failover can lose events that were published"
        yield Risk(service, says, "ALTER SYSTEM SET synchronous_standby_names = 'ANY 1 (…)'")


def _encryption(service: str, connection: psycopg.Connection) -> Iterator[Risk]:
    if _is_near(connection.info.hostaddr or connection.info.host):
        return
    verified = connection.info.get_parameters().get("sslmode") == "verify-full"
    if not connection.pgconn.ssl_in_use:
        yield Risk(service, "connections to it are not encrypted", "sslmode=verify-full in its URLs")
    elif not verified:
        yield Risk(service, "whose server answers is not checked", "sslmode=verify-full and sslrootcert in its URLs")


def of_kafka(kafka: Mapping[str, str]) -> list[Risk]:
    """Return what is wrong with the brokers, the topics and the way to them; blocks some seconds.

    Raises DependencyDown.
    """
    options: Any = {**kafka, "client.id": "outbox", "logger": SILENT}
    admin: Any = AdminClient(options)
    try:
        found = admin.list_topics(timeout=ANSWER_SECONDS)
        copies = {
            name: min(len(one.replicas) for one in topic.partitions.values()) for name, topic in found.topics.items()
        }
        named = [one.name for one in topics() if one.name in copies]
        return [
            *_protocol(kafka),
            *_brokers(admin, sorted(found.brokers)),
            *(risk for name in named for risk in _topic(name, copies[name], _config(admin, ResourceType.TOPIC, name))),
            *_copies(OFFSETS, copies.get(OFFSETS, REPLICAS)),
        ]
    except KafkaException as error:
        raise broker_down(kafka, error) from None


def _protocol(kafka: Mapping[str, str]) -> Iterator[Risk]:
    protocol = kafka.get("security.protocol", "plaintext").lower()
    hosts = [server.rpartition(":")[0].strip("[]") for server in kafka["bootstrap.servers"].split(",")]
    if protocol.endswith("plaintext") and not all(map(_is_near, hosts)):
        yield Risk(
            KAFKA, f"connections are not encrypted ({protocol})", "security.protocol=sasl_ssl (docs/settings.md)"
        )
    if protocol in {"plaintext", "ssl"} and "ssl.certificate.location" not in kafka:
        yield Risk(KAFKA, "we do not say who we are, so nobody can be refused", "sasl.mechanism and the like")


def _brokers(admin: Any, brokers: list[int]) -> Iterator[Risk]:
    if len(brokers) < BROKERS:
        yield Risk(KAFKA, f"it has {len(brokers)} brokers of {BROKERS}: losing one can lose records", "add brokers")
    config = _config(admin, ResourceType.BROKER, str(brokers[0]))
    if config is None:
        yield Risk(KAFKA, "the brokers' settings cannot be read", "grant DescribeConfigs on the cluster: outbox acls")
        return
    if not config.get("authorizer.class.name"):
        says = "it has no authorizer: whoever reaches it may write any topic"
        yield Risk(KAFKA, says, "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer")
    elif config.get("allow.everyone.if.no.acl.found") == "true":
        yield Risk(KAFKA, "what no rule names is open to everybody", "allow.everyone.if.no.acl.found=false")
    if config.get("auto.create.topics.enable") == "true":
        says = "a misspelt topic is created, with the brokers' defaults"
        yield Risk(KAFKA, says, "auto.create.topics.enable=false")


def _topic(name: str, copies: int, config: Mapping[str, str] | None) -> Iterator[Risk]:
    yield from _copies(name, copies)
    if config is None:
        yield Risk(name, "its settings cannot be read", "grant DescribeConfigs on it: outbox acls")
        return
    insync = int(config.get("min.insync.replicas", 1))
    alter = f"kafka-configs.sh --alter --entity-type topics --entity-name {name} --add-config"
    if insync < MIN_INSYNC:
        says = f"min.insync.replicas is {insync}: losing one broker can lose what was acknowledged"
        yield Risk(name, says, f"{alter} min.insync.replicas={MIN_INSYNC}")
    if copies >= REPLICAS and insync >= copies:
        says = f"min.insync.replicas is {insync} of {copies}: while one broker is away nothing is published"
        yield Risk(name, says, f"{alter} min.insync.replicas={MIN_INSYNC}")
    if config.get("unclean.leader.election.enable") == "true":
        says = "a replica that lags may lead, and what it lacks is lost"
        yield Risk(name, says, f"{alter} unclean.leader.election.enable=false")


def _copies(topic: str, copies: int) -> Iterator[Risk]:
    if copies < REPLICAS:
        yield Risk(topic, f"it has {copies} of {REPLICAS} replicas: losing one broker can lose records", REASSIGN)


def _config(admin: Any, kind: Any, name: str) -> Mapping[str, str] | None:
    """Return a resource's settings; None where we may not read them."""
    (answer,) = admin.describe_configs([ConfigResource(kind, name)], request_timeout=ANSWER_SECONDS).values()
    try:
        return {setting: str(entry.value or "") for setting, entry in answer.result().items()}
    except KafkaException as error:
        if "AUTHORIZATION_FAILED" not in error.args[0].name():
            raise
        return None


def _is_near(host: str) -> bool:
    """Tell whether nothing leaves this machine on the way there."""
    if host.startswith(("/", "@")) or host in {"", "localhost"}:
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False

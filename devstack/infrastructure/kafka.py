"""Apache Kafka: one broker that is its own controller."""

from __future__ import annotations

import base64
import shutil
import subprocess
import tempfile
import uuid
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from devstack.errors import DevstackError
from devstack.infrastructure.java import FIRST_COMPILER, LOGGING, java
from devstack.parts import Part
from devstack.ports import HOST

if TYPE_CHECKING:
    from collections.abc import Mapping

    from devstack.folder import Folder
    from devstack.parts import Site


def part(site: Site, folder: Folder, libraries: Path, *options: str) -> Part:
    """Return the broker; `prepare` must have run before it starts."""
    return Part(
        name="kafka",
        command=(
            *command(folder, libraries, "-Xms256m", "-Xmx256m", *options, FIRST_COMPILER, *site.kafka_options),
            "kafka.Kafka",
            str(config_file(folder)),
        ),
        probe=f"tcp://{site.kafka}",
        tier=1,
    )


def command(folder: Folder, libraries: Path, *options: str) -> tuple[str, ...]:
    """Return the start of a command that runs one of Kafka's classes."""
    logging = folder.data / "kafka" / "log4j2.properties"
    return (
        *(java(), *options, "-XX:+UseSerialGC", "-Djava.awt.headless=true", f"-Dlog4j2.configurationFile={logging}"),
        *("-cp", f"{libraries}/*"),
    )


def config_file(folder: Folder) -> Path:
    """Name the broker's configuration."""
    return folder.data / "kafka" / "server.properties"


def prepare(site: Site, folder: Folder, libraries: Path) -> None:
    """Write the configuration and format the storage once, under the stack's own cluster id.

    Raises:
        DevstackError: the storage cannot be formatted.

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
    config_file(folder).write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
    if not (home / "log" / "meta.properties").exists():
        format_storage(site, folder, libraries)


def format_storage(site: Site, folder: Folder, libraries: Path) -> None:
    """Copy a formatted storage, and give it identities of its own; what an interrupted start left is thrown away.

    Kafka's formatting tool is a Java program that takes seconds, and writes the same for every broker but three lines.
    """
    log = folder.data / "kafka" / "log"
    shutil.rmtree(log, ignore_errors=True)
    template = libraries.with_name(f"{libraries.name}-formatted")
    if not template.exists():
        make_template(folder, libraries, template)
    shutil.copytree(template, log)
    configured = dict(line.split("=", 1) for line in config_file(folder).read_text().splitlines() if "=" in line)
    identify(log, {"cluster.id": site.secrets["kafka"], "node.id": configured["node.id"], "directory.id": identity()})


def identify(log: Path, own: Mapping[str, str]) -> None:
    """Give a storage that was copied these ids; a directory's may change only while it holds no topic."""
    properties = log / "meta.properties"
    lines = [line.partition("=") for line in properties.read_text().splitlines()]
    properties.write_text("".join(f"{name}{sign}{own.get(name, value)}\n" for name, sign, value in lines))


def make_template(folder: Folder, libraries: Path, template: Path) -> None:
    """Run Kafka's own formatting tool, once for each download.

    Raises:
        DevstackError: the storage cannot be formatted.

    """
    with tempfile.TemporaryDirectory(dir=template.parent, prefix=".fetch-") as scratch:
        config = Path(scratch, "server.properties")
        log = Path(scratch, "log")
        config.write_text(f"{config_file(folder).read_text()}log.dirs={log}\n")
        tool = command(folder, libraries, FIRST_COMPILER)
        # The id in one word: it may begin with a dash.
        formatting = [*tool, "kafka.tools.StorageTool", "format", f"--cluster-id={identity()}", "-c", str(config)]
        done = subprocess.run(formatting, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            lines = (done.stderr + done.stdout).strip().splitlines() or ["the formatting tool said nothing"]
            raise DevstackError(f"Kafka could not format {log}: {lines[-1]}", tuple(lines[-10:]))
        with suppress(OSError):  # a stack that started at the same time was first
            log.rename(template)


def identity() -> str:
    """Return a new id as Kafka writes them."""
    return base64.urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b"=").decode()

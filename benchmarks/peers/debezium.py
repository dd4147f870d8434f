"""Debezium's PostgreSQL connector with the outbox event router, in a standalone Kafka Connect worker.

`debezium.properties` is what docs/relay.md recommends to whoever takes Debezium in the relay's place; the benchmark
uses that very file. Fetched by name from Maven Central, checked against `artifacts.toml`.
"""

import json
import re
import urllib.request
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from benchmarks.peers.process import Peer
from benchmarks.stage import Stage, execute
from devstack.cache.artifacts import fetch, read_lock
from devstack.harness.databases import ServiceDatabase
from devstack.harness.wait import wait_until
from devstack.infrastructure.java import LOGGING, java
from devstack.ports import choose

HERE: Final = Path(__file__).parent
CONNECTOR: Final = HERE / "debezium.properties"
WORKER: Final = HERE / "connect.properties"
PUBLICATION: Final = HERE / "publication.sql"
LOCK: Final = HERE / "artifacts.toml"
OPTIONS: Final = ("-Xms1g", "-Xmx1g", "-XX:+UseParallelGC")
NAME: Final = "order-outbox"


class Debezium(Peer):
    """One worker with one connector on one database."""

    def __init__(self, stage: Stage, database: ServiceDatabase, *options: str, **changes: str) -> None:
        libraries = fetch(["debezium"], lock=LOCK)["debezium"]
        self.port = choose(["bench.connect"], {}, {})["bench.connect"]
        self._offsets = stage.folder / f"connect-{database.name}.offsets"
        logging = stage.folder / "connect-log4j2.properties"
        logging.write_text(LOGGING)
        url = urlsplit(database.relay_url)
        environment = {
            "KAFKA_BOOTSTRAP": stage.kafka,
            "CONNECT_PORT": str(self.port),
            "CONNECT_OFFSETS": str(self._offsets),
            "OUTBOX_HOST": url.hostname or "",
            "OUTBOX_PORT": str(url.port),
            "OUTBOX_DATABASE": url.path[1:],
            "OUTBOX_USER": url.username or "",
            "OUTBOX_PASSWORD": url.password or "",
        }
        connector = stage.folder / CONNECTOR.name
        connector.write_text(CONNECTOR.read_text() + "".join(f"{name}={value}\n" for name, value in changes.items()))
        worker = resolved(WORKER, environment, stage.folder)
        command = [
            *(java(), *(options or OPTIONS), "-Djava.awt.headless=true"),
            *(f"-Dlog4j2.configurationFile={logging}", "-cp", f"{libraries}/*"),
            *("org.apache.kafka.connect.cli.ConnectStandalone", str(worker), str(connector)),
        ]
        self._database = database
        super().__init__("debezium", command, environment, stage.folder / "debezium.log")

    def __exit__(self, *_: object) -> None:
        """Kill it, and drop its slot."""
        super().__exit__()
        drop_slot(self._database)

    def wait_until_streaming(self, database: ServiceDatabase) -> None:
        """Return once the connector reads its slot."""
        query = "SELECT count(*) FROM pg_replication_slots WHERE slot_name = 'outbox' AND active"

        def streams() -> bool:
            self.fail_if_dead()
            return execute(database.superuser_url, query) == [(1,)]

        try:
            wait_until(streams, deadline_seconds=90, what="Debezium reads its slot", every_seconds=0.2)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.tail()}") from None

    def change(self, **settings: str) -> None:
        """Give the connector other settings; its task starts anew, the JVM stays."""
        known = self._ask("GET", f"/connectors/{NAME}/config")
        self._ask("PUT", f"/connectors/{NAME}/config", known | settings)

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            content = answer.read()
        return json.loads(content) if content else None


def connector_settings() -> dict[str, str]:
    """Return what `debezium.properties` says."""
    text = re.sub(r"\\\n\s*", "", CONNECTOR.read_text())  # a line goes on behind a backslash
    lines = (line.partition("=") for line in text.splitlines() if line)
    return {name: value for name, _, value in lines}


def artifact_version(name: str) -> str:
    """Return the version of one file of the lock."""
    (download,) = read_lock(["debezium"], LOCK)
    return next(artifact.version for artifact in download.artifacts if artifact.name == name)


def resolved(file: Path, environment: dict[str, str], folder: Path) -> Path:
    """Copy a worker's settings with its `${env:NAME}` filled in: Connect itself does that for connectors only."""
    text = file.read_text()
    for name, value in environment.items():
        text = text.replace(f"${{env:{name}}}", value)
    copy = folder / file.name
    copy.write_text(text)
    return copy


def make_room(database: ServiceDatabase) -> None:
    """Do what docs/relay.md asks of the server: the publication, and the right to replicate."""
    role = urlsplit(database.relay_url).username
    execute(database.superuser_url, f'ALTER ROLE "{role}" REPLICATION')
    execute(database.owner_url, PUBLICATION.read_text())


def make_slot(database: ServiceDatabase) -> None:
    """Make the slot that a connector finds at its first start, so that it begins here."""
    execute(database.superuser_url, "SELECT pg_create_logical_replication_slot('outbox', 'pgoutput')")


def drop_slot(database: ServiceDatabase) -> None:
    """Give the slot up, once nobody reads it."""
    query = "SELECT count(*) FROM pg_replication_slots WHERE slot_name = 'outbox' AND active"
    wait_until(lambda: execute(database.superuser_url, query) == [(0,)], deadline_seconds=60, what="the slot is free")
    execute(
        database.superuser_url,
        "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = 'outbox'",
    )

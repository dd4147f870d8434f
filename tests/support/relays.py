"""The relay as a process, the outbox as a service writes it, and the topic as a subscriber reads it."""

import itertools
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, Message, TopicPartition
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewTopic, ResourceType

from devstack.folder import CHECKOUT
from devstack.harness.databases import ServiceDatabase
from devstack.harness.wait import wait_until

EVENT_TYPE, SCHEMA_VERSION, SCHEMA_ID = "waybill.order.OrderPlaced", 1, 77

INSERT = """
INSERT INTO waybill_outbox (event_id, topic, aggregate_type, aggregate_id, aggregate_version, event_type,
                    schema_version, payload, metadata)
VALUES (%s, %s, 'order', %s, %s, %s, %s, %s, %s) RETURNING position
"""
INSERT_MANY = """
INSERT INTO waybill_outbox (event_id, topic, aggregate_type, aggregate_id, aggregate_version, event_type,
                    schema_version, payload, metadata)
SELECT gen_random_uuid(), %s, 'order', 'bulk-' || i, 1, %s, %s, repeat('x', %s)::bytea, '{}'
FROM generate_series(1, %s) AS i
"""


def append(  # noqa: PLR0913 - the columns of a row
    connection: psycopg.Connection,
    topic: str | None,
    aggregate: str,
    version: int,
    *,
    size: int = 20,
    metadata: dict[str, str] | None = None,
    event_type: str = EVENT_TYPE,
) -> int:
    """Write one event in the connection's transaction; returns its position."""
    values = (
        uuid.uuid4(),
        topic,
        aggregate,
        version,
        event_type,
        SCHEMA_VERSION,
        os.urandom(size),
        json.dumps(metadata or {}),
    )
    return connection.execute(INSERT, values).fetchone()[0]


def append_many(connection: psycopg.Connection, topic: str, count: int, *, size: int = 1) -> None:
    """Write many small events, an aggregate each."""
    connection.execute(INSERT_MANY, (topic, EVENT_TYPE, SCHEMA_VERSION, size, count))


@dataclass(frozen=True)
class Outbox:
    """A service's database with one schema registered, and a topic of the test's own."""

    database: ServiceDatabase
    kafka: str
    topic: str

    def connect(self, *, autocommit: bool = True) -> psycopg.Connection:
        return psycopg.connect(self.database.service_url, autocommit=autocommit)

    def cursor(self) -> tuple[int, list[int]]:
        """Return what is durable: the position, and first and last of each gap below it."""
        return self._one("SELECT position, missing FROM waybill_outbox_cursor")

    def dead_letters(self) -> list[tuple[str, int, str]]:
        """Aggregate, version and reason of the dead letters, in the outbox's order."""
        with psycopg.connect(self.database.superuser_url) as connection:
            return connection.execute(
                "SELECT body->>'aggregate_id', (body->>'aggregate_version')::int, headers->>'reason' FROM published"
                " WHERE status = -1 ORDER BY (body->>'position')::bigint"
            ).fetchall()

    def leader(self) -> str | None:
        return self._one("SELECT leader FROM waybill_outbox_cursor")[0]

    def rows_read(self) -> int:
        """Return how many rows of the outbox all sessions together have read; tells of a session a second late."""
        return self._one(
            "SELECT seq_tup_read + coalesce(idx_tup_fetch, 0) FROM pg_stat_user_tables WHERE relname = 'waybill_outbox'"
        )[0]

    def execute(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """Do something as the superuser."""
        with psycopg.connect(self.database.superuser_url, autocommit=True) as connection:
            found = connection.execute(statement, values)
            return found.fetchall() if found.description is not None else []

    def wait_for_cursor(self, position: int, missing: Sequence[int] = (), *, deadline_seconds: float = 15) -> None:
        wanted = (position, list(missing))

        def look() -> bool:
            look.last = self.cursor()
            return look.last == wanted

        look.last = None
        try:
            wait_until(look, deadline_seconds=deadline_seconds, what=f"cursor at {wanted}", every_seconds=0.02)
        except AssertionError as error:
            raise AssertionError(f"{error}; the cursor stands at {look.last}") from None

    def wait_until_durable(self) -> None:
        """Wait until the cursor would survive a crash of the server: for the next heartbeat."""
        wait_until(
            lambda: self._one("SELECT heartbeat_at > updated_at FROM waybill_outbox_cursor") == (True,),
            deadline_seconds=10,
            what="a heartbeat after the checkpoint",
            every_seconds=0.02,
        )

    def _one(self, statement: str) -> tuple[Any, ...]:
        return self.execute(statement)[0]


def empty(database: ServiceDatabase, kafka: str) -> Outbox:
    """Register the one schema and make a topic."""
    with psycopg.connect(database.owner_url, autocommit=True) as owner:
        owner.execute("INSERT INTO waybill_schema_id VALUES (%s, %s, %s)", (EVENT_TYPE, SCHEMA_VERSION, SCHEMA_ID))
    return Outbox(database, kafka, make_topic(kafka))


@dataclass(frozen=True)
class Record:
    """One record as a subscriber sees it."""

    key: str
    headers: dict[str, str]
    value: bytes
    place: str
    """Topic, partition and offset."""

    @property
    def version(self) -> int:
        return int(self.headers["ce_sequence"])


def read_topic(bootstrap: str, topic: str) -> list[Record]:
    """Everything on the topic now: in order within a partition, and so within a key."""
    consumer = Consumer(
        {"bootstrap.servers": bootstrap, "group.id": f"test-{uuid.uuid4()}", "enable.partition.eof": True}
    )
    try:
        partitions = sorted(consumer.list_topics(topic, timeout=10).topics[topic].partitions)
        consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING) for partition in partitions])
        records: list[Record] = []
        ended = 0
        while ended < len(partitions):
            message = consumer.poll(10)
            assert message is not None, "the broker does not answer"
            error = message.error()
            if error is None:
                records.append(_record(message))
            elif error.code() == KafkaError._PARTITION_EOF:
                ended += 1  # any other error is the client's, which goes on by itself
        return records
    finally:
        consumer.close()


def _record(message: Message) -> Record:
    headers = {name: value.decode() for name, value in message.headers() or []}
    place = f"{message.topic()}/{message.partition()}/{message.offset()}"
    return Record((message.key() or b"").decode(), headers, message.value() or b"", place)


def versions(records: Sequence[Record]) -> dict[str, list[int]]:
    """Versions by key, in the order in which each was first seen."""
    seen: dict[str, dict[int, None]] = defaultdict(dict)
    for record in records:
        seen[record.key][record.version] = None
    return {key: list(found) for key, found in seen.items()}


def repeated(records: Sequence[Record]) -> int:
    """How many records are copies of one that came before."""
    return len(records) - len({record.headers["ce_id"] for record in records})


def make_topic(bootstrap: str, *, name: str | None = None, partitions: int = 3, **config: str) -> str:
    """Create a topic, by default with a name of its own."""
    name = name or f"test.{uuid.uuid4().hex[:12]}.v1"
    admin = AdminClient({"bootstrap.servers": bootstrap})  # kept: its futures die with it
    admin.create_topics([NewTopic(name, partitions, 1, config=config)])[name].result(10)
    return name


def set_limit(bootstrap: str, topic: str, max_bytes: int) -> None:
    """Change what the topic takes."""
    entry = ConfigEntry("max.message.bytes", str(max_bytes), incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
    admin = AdminClient({"bootstrap.servers": bootstrap})
    admin.incremental_alter_configs([resource])[resource].result(10)


class RelayProcess:
    """One `python -m outbox_relay`, started when made."""

    _numbers = itertools.count()

    def __init__(self, outbox: Outbox, folder: Path, *, program: Sequence[str] = ("-m", "outbox_relay"), **more: str):
        self.port = _free_port()
        self.wake_up = _free_port()
        self._log = folder / f"relay-{next(self._numbers)}.log"
        environment = {
            **os.environ,
            "WAYBILL_SERVICE": "order_service",
            "WAYBILL_DATABASE_URL": outbox.database.relay_url,
            "WAYBILL_KAFKA_BOOTSTRAP": outbox.kafka,
            "WAYBILL_HOST": "127.0.0.1",
            "WAYBILL_PORT": str(self.port),
            "WAYBILL_RELAY_WAKE_UP": f"127.0.0.1:{self.wake_up}",
            **more,
        }
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, *program], cwd=CHECKOUT, env=environment, stdout=log, stderr=subprocess.STDOUT
            )

    @property
    def name(self) -> str:
        """How the leader calls itself in the cursor's row."""
        return f"{socket.gethostname()}:{self.process.pid}"

    @property
    def log(self) -> str:
        return self._log.read_text()

    def events(self, name: str) -> list[dict[str, Any]]:
        """Return the log events of that name."""
        return [event for event in map(json.loads, self.log.splitlines()) if event["event"] == name]

    def unready(self) -> str | None:
        """Why /readyz says no; None while it says yes."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=5):
                return None
        except urllib.error.HTTPError as answer:
            with answer:
                return answer.read().decode()
        except OSError:
            return "does not answer"

    def failures(self, reason: str) -> int:
        """Return how often publishing failed for this reason, as /metrics tells."""
        told = ""
        with suppress(urllib.error.URLError), urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics") as answer:
            told = answer.read().decode()
        found = re.search(rf'^outbox_publish_failures_total{{.*reason="{reason}".*}} (\S+)', told, re.MULTILINE)
        return int(float(found[1])) if found else 0

    def wait_for(self, what: str, look: Callable[[], Any], deadline_seconds: float = 90) -> Any:
        """Wait, and show the relay's log where that failed."""
        try:
            return wait_until(look, deadline_seconds=deadline_seconds, what=what, every_seconds=0.02)
        except AssertionError as error:
            raise AssertionError(f"{error}; {self.unready()}\n{self.log}") from None

    def wait_until_leading(self, deadline_seconds: float = 90) -> None:
        self.wait_for("leadership", lambda: self.events("relay_leads"), deadline_seconds)

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(10)

    def stop(self) -> int:
        """Stop it as an operator does; returns its exit code."""
        self.process.terminate()
        return self.process.wait(15)


@contextmanager
def relay(outbox: Outbox, **more: Any) -> Iterator[RelayProcess]:
    """Run a relay, and see to it that none is left; its log must hold no traceback."""
    with tempfile.TemporaryDirectory() as folder:
        running = RelayProcess(outbox, Path(folder), **more)
        try:
            yield running
            assert "Traceback" not in running.log, running.log
        finally:
            running.kill()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


TRANSACTIONS = {"WAYBILL_RELAY_TRANSACTIONS": "true"}

"""More partitions for a topic, and no key out of its order.

A key's partition is its hash modulo their number. With another number many keys move, and Kafka keeps order within a
partition only: a group that is behind in the old one may find a key's next events in the new one first. No header
repairs that for a subscriber who does not look. So the number changes while nothing of the topic is in flight:

    1 the relay that writes it is paused                 nothing in flight, no producer that counts with the old number
    2 no replay of that service runs                     it has a producer of its own
    3 every group has read to the end, and committed     ours and others'; whom to leave out, an operator says
    4 the partitions are added                           and every broker of the cluster tells the new number
    5 the pause is ended                                 by its author; the relay's next producer asks the broker anew

From 2 to 4 the pause is locked, so nobody resumes in between. What comes later has a producer that is made later:
what is redriven, a replay that is resumed, a standby that takes over. What a killed or frozen relay may still send are
copies of what its successor sends in order.

Not seen: a writer or reader that Kafka's groups and our tables do not show; a producer of somebody else's.

Rejected alternatives: a partitioner of our own that keeps old keys where they are (every other producer, and Debezium
in the relay's place, would have to know it); a new topic beside the old (every subscriber has to move).
"""

import time
from collections.abc import Collection, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, cast

import psycopg
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, NewPartitions  # pyright: ignore[reportPrivateImportUsage] - as documented

from outbox_relay.operations import audit
from outbox_relay.operations.replay import jobs
from outbox_relay.operations.topics import groups
from outbox_relay.operations.topology import DependencyDown, Topology, UsageError, session
from outbox_relay.relay.kafka import broker
from outbox_relay.relay.kafka.broker import SILENT, BrokerUnavailable, reason_of
from outbox_relay.relay.leadership import LOCK, PAUSED_LOCK
from waybill.database.sqlstate import one_line

CALL_SECONDS: Final = 10.0  # of one call, and for every broker to tell of the partitions
LOOK_SECONDS: Final = 0.25  # between looks at what stands in the way

# Until the transaction ends nobody can resume; the relay reads on. Who may not update cannot lock the row alone.
HOLD: Final = "LOCK TABLE waybill_relay_pause IN SHARE MODE"
PAUSED: Final = "SELECT FROM waybill_relay_pause"
# A relay that leads and has not paused yet still has a producer.
BUSY: Final = """
SELECT count(*) FILTER (WHERE key = %(lead)s) > count(*) FILTER (WHERE key = %(paused)s)
FROM (SELECT classid::bigint << 32 | objid::bigint AS key FROM pg_locks
      WHERE locktype = 'advisory' AND granted AND objsubid = 1
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())) AS held
"""
RECENT_JOBS: Final = 1_000  # a running one is among the newest


@dataclass(frozen=True, slots=True)
class Growth:
    """A topic that shall have `to` partitions, whose relay writes it, and which groups need not have read it."""

    topic: str
    service: str
    to: int
    regardless: tuple[str, ...] = ()


def writer_of(topic: str, services: Collection[str], topology: Topology) -> str:
    """Return the service whose relay writes the topic: the named one, or whose name it bears. Raises UsageError."""
    if len(services) > 1:
        raise UsageError("a topic has one service that writes it; give --service once")
    try:
        return topology.chosen([*services] or [topic.partition(".")[0]])[0]
    except UsageError as error:
        raise UsageError(f"{error}; say which service writes {topic}: --service NAME") from None


def partitions_of(topic: str, topology: Topology) -> int:
    """Return how many partitions the topic has. Raises UsageError where there is no such topic, DependencyDown."""
    try:
        found = broker.describe(topology.broker, [topic])[topic]
    except (BrokerUnavailable, KafkaException) as error:
        raise DependencyDown(f"Kafka at {topology.kafka}: {reason_of(error)}") from None
    if not found.exists:
        raise UsageError(f"there is no topic {topic!r}; python -m waybill contracts topics creates what is missing")
    return found.partitions


def wait_until_quiet(topology: Topology, growth: Growth, wait_seconds: float) -> list[str]:
    """Return what stands in the way of growth; waits for what ends by itself, and for nothing else.

    Raises DependencyDown.
    """
    with _connected(topology, growth.service) as connection:
        return _wait(growth, connection, topology.broker, wait_seconds)


def grow(topology: Topology, growth: Growth, wait_seconds: float, reason: str, by: str) -> list[str]:
    """Add the partitions once nothing stands in the way, on record; returns what did, if anything.

    Raises DependencyDown.
    """
    before = partitions_of(growth.topic, topology)
    with _connected(topology, growth.service) as connection:
        obstacles_left = _wait(growth, connection, topology.broker, wait_seconds)
        if obstacles_left:
            return obstacles_left
        return _change(growth, before, connection, topology.broker, reason, by)


@contextmanager
def _connected(topology: Topology, service: str) -> Generator[psycopg.Connection]:
    try:
        with session(topology.databases[service]) as connection:
            yield connection
    except psycopg.Error as error:
        raise DependencyDown(f"database {service}: {one_line(error)}") from None


def _wait(growth: Growth, connection: psycopg.Connection, kafka: Mapping[str, str], wait_seconds: float) -> list[str]:
    until = time.monotonic() + wait_seconds
    while True:
        with connection.transaction():
            found, passes = obstacles(growth, connection, kafka)
        if not found or not passes or time.monotonic() > until:
            return found
        time.sleep(LOOK_SECONDS)


def obstacles(growth: Growth, connection: psycopg.Connection, kafka: Mapping[str, str]) -> tuple[list[str], bool]:
    """Return why the topic may not grow now, a line each, and whether that may end by itself; locks the pause.

    Raises psycopg.Error and DependencyDown.
    """
    service, topic = growth.service, growth.topic
    why = f"--reason '{topic} grows'"
    connection.execute(HOLD)
    if connection.execute(PAUSED).fetchone() is None:
        return [f"the relay of {service} is not paused: outbox pause --service {service} {why}"], False
    values = {"lead": LOCK, "paused": PAUSED_LOCK}
    (busy,) = connection.execute(BUSY, values).fetchone() or (True,)
    if busy:
        return [f"the relay of {service} still has records in flight"], True
    running = [job for job in jobs.newest(service, connection, RECENT_JOBS) if job.state == "running"]
    if running:
        return [f"replay {job.id} is being sent: stop it, and resume it afterwards" for job in running], True
    behind = [one for one in groups.read(kafka, topic) if one.left and one.group not in growth.regardless]
    return [f"{one}; or leave it out: --regardless {one.group}" for one in behind], True


def _change(
    growth: Growth, before: int, connection: psycopg.Connection, kafka: Mapping[str, str], reason: str, by: str
) -> list[str]:
    with connection.transaction():
        found, _ = obstacles(growth, connection, kafka)
        if found:
            return found
        what = {"topic": growth.topic, "from": before, "to": growth.to, "regardless": growth.regardless}
        audit.record(connection, "grow", reason, what, by)
        try:
            _add(kafka, growth.topic, growth.to)
        except KafkaException as error:
            raise DependencyDown(f"Kafka refused: {reason_of(error)}") from None
    return []


def _add(kafka: Mapping[str, str], topic: str, partitions: int) -> None:
    """Add partitions, and return when every broker tells of them; raises KafkaException, DependencyDown."""
    admin = _client(kafka)
    new = [NewPartitions(topic, partitions)]
    admin.create_partitions(new, operation_timeout=CALL_SECONDS, request_timeout=CALL_SECONDS)[topic].result()
    brokers = [f"{one.host}:{one.port}" for one in admin.list_topics(timeout=CALL_SECONDS).brokers.values()]
    until = time.monotonic() + CALL_SECONDS
    for address in brokers:
        # A client asks the broker it was given first: it knows no other yet.
        while _told_by(kafka, address, topic) < partitions:
            if time.monotonic() > until:
                raise DependencyDown(f"{topic} has grown, but {address} does not tell so; do not resume before it does")
            time.sleep(LOOK_SECONDS)


def _told_by(kafka: Mapping[str, str], address: str, topic: str) -> int:
    asked = _client({**kafka, "bootstrap.servers": address}).list_topics(topic, timeout=CALL_SECONDS)
    return len(asked.topics[topic].partitions)


def _client(kafka: Mapping[str, str]) -> Any:
    options: Any = {**kafka, "client.id": "outbox", "logger": SILENT}
    return cast("Any", AdminClient(options))

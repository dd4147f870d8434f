"""More partitions for a topic, and no key out of its order.

A key's partition is its hash modulo their number. With another number many keys move, and Kafka keeps order within a
partition only: a group that is behind in the old one may find a key's next events in the new one first. No header
mends that for a subscriber who does not look. So the number changes at a moment when nothing of the topic is under way:

    1 the relay that writes it is paused and rests       nothing in flight, no producer that counts with the old number
    2 no replay of that service runs                     it has a producer of its own
    3 every group has read to the end, and committed     ours and others'; whom to leave out, an operator says
    4 the partitions are added                           and every broker of the cluster tells the new number
    5 the pause is ended                                 by its author; the relay's next producer asks the broker anew

From 2 to 4 the pause is locked, so nobody resumes in between. What comes later has a producer that is made later:
what is redriven, a replay that is resumed, a standby that takes over. What a killed or frozen relay may still send are
copies of what its successor sends in order.

Not seen: a writer or reader that Kafka's groups and our tables do not show; a producer of somebody else's.

Turned down: a partitioner of our own that keeps old keys where they are (every other producer, and Debezium in the
relay's place, would have to know it); a new topic beside the old (every subscriber has to move).
"""

import argparse
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final, cast

import psycopg
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, NewPartitions  # pyright: ignore[reportPrivateImportUsage] - as documented

from outbox_relay.cli import screen
from outbox_relay.cli.verb import DONE, MISMATCH, Given, Verb, add_record, count, refuse_silent_execution, seconds
from outbox_relay.operations import audit
from outbox_relay.operations.replay import jobs
from outbox_relay.operations.topics import groups
from outbox_relay.operations.topology import DependencyDown, Topology, UsageError, session
from outbox_relay.relay.kafka import broker
from outbox_relay.relay.kafka.broker import SILENT, BrokerTrouble, reason_of
from outbox_relay.relay.leadership import LOCK, RESTING
from waybill.database.sqlstate import one_line

WAIT_SECONDS: Final = 30.0
CALL_SECONDS: Final = 10.0
LOOK_SECONDS: Final = 0.25

# Until the transaction ends nobody can resume; the relay reads on. Who may not update cannot lock the row alone.
HOLD: Final = "LOCK TABLE waybill_relay_pause IN SHARE MODE"
PAUSED: Final = "SELECT FROM waybill_relay_pause"
# A relay that leads and does not rest still has a producer.
BUSY: Final = """
SELECT count(*) FILTER (WHERE key = %(lead)s) > count(*) FILTER (WHERE key = %(rest)s)
FROM (SELECT classid::bigint << 32 | objid::bigint AS key FROM pg_locks
      WHERE locktype = 'advisory' AND granted AND objsubid = 1
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())) AS held
"""
RECENT_JOBS: Final = 1_000


def _grow(given: Given, topology: Topology) -> int:
    service = _writer(given, topology)
    kafka = topology.broker
    now = _partitions(kafka, given.topic, topology)
    if given.to < now:
        raise UsageError(f"{given.topic} has {now} partitions; Kafka takes none away, and {given.to} are fewer")
    if given.to == now:
        screen.tell(f"{given.topic} has {now} partitions; nothing is changed")
        return DONE
    refuse_silent_execution(given)
    try:
        with session(topology.databases[service]) as connection:
            trouble = _wait_until_quiet(given, service, connection, kafka)
            if not trouble and given.execute:
                trouble = _change(given, service, connection, kafka, now)
    except psycopg.Error as error:
        raise DependencyDown(f"database {service}: {one_line(error)}") from None
    for line in trouble:
        screen.tell(line)
    if trouble:
        screen.tell(f"{given.topic} keeps its {now} partitions")
        return MISMATCH
    _tell_done(given, service, now)
    return DONE


def _writer(given: Given, topology: Topology) -> str:
    """Return the service whose relay writes the topic; raises UsageError."""
    if len(given.service) > 1:
        raise UsageError("a topic has one service that writes it; give --service once")
    named = given.service or [given.topic.partition(".")[0]]
    try:
        return topology.chosen(named)[0]
    except UsageError as error:
        raise UsageError(f"{error}; say which service writes {given.topic}: --service NAME") from None


def _partitions(kafka: Mapping[str, str], topic: str, topology: Topology) -> int:
    try:
        found = broker.describe(kafka, [topic])[topic]
    except (BrokerTrouble, KafkaException) as error:
        raise DependencyDown(f"Kafka at {topology.kafka}: {reason_of(error)}") from None
    if not found.exists:
        raise UsageError(f"there is no topic {topic!r}; python -m waybill contracts topics creates what is missing")
    return found.partitions


def _wait_until_quiet(
    given: Given, service: str, connection: psycopg.Connection, kafka: Mapping[str, str]
) -> list[str]:
    """Return what stands in the way; waits for what ends by itself, and for nothing else."""
    until = time.monotonic() + given.wait
    while True:
        with connection.transaction():
            trouble, passes = obstacles(given.topic, service, connection, kafka, given.regardless)
        if not trouble or not passes or time.monotonic() > until:
            return trouble
        time.sleep(LOOK_SECONDS)


def obstacles(
    topic: str,
    service: str,
    connection: psycopg.Connection,
    kafka: Mapping[str, str],
    regardless: Collection[str] = (),
) -> tuple[list[str], bool]:
    """Return why the topic may not grow now, a line each, and whether that may end by itself; locks the pause.

    Raises psycopg.Error and DependencyDown.
    """
    why = f"--reason '{topic} grows'"
    connection.execute(HOLD)
    if connection.execute(PAUSED).fetchone() is None:
        return [f"the relay of {service} is not paused: outbox pause --service {service} {why}"], False
    values = {"lead": LOCK, "rest": RESTING}
    (busy,) = connection.execute(BUSY, values).fetchone() or (True,)
    if busy:
        return [f"the relay of {service} has not come to rest yet"], True
    running = [job for job in jobs.newest(service, connection, RECENT_JOBS) if job.state == "running"]
    if running:
        return [f"replay {job.id} is being sent: stop it, and resume it afterwards" for job in running], True
    behind = [one for one in groups.read(kafka, topic) if one.left and one.group not in regardless]
    return [f"{one}; or leave it out: --regardless {one.group}" for one in behind], True


def _change(
    given: Given, service: str, connection: psycopg.Connection, kafka: Mapping[str, str], before: int
) -> list[str]:
    with connection.transaction():
        trouble, _ = obstacles(given.topic, service, connection, kafka, given.regardless)
        if trouble:
            return trouble
        what = {"topic": given.topic, "from": before, "to": given.to, "regardless": given.regardless}
        audit.record(connection, "grow", given.reason, what, given.by)
        try:
            _add(kafka, given.topic, given.to)
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


def _tell_done(given: Given, service: str, before: int) -> None:
    line = {"topic": given.topic, "service": service, "partitions": before, "to": given.to, "grown": given.execute}
    put: Callable[[list[dict[str, Any]]], None] = screen.put_json if given.json else screen.put_table
    put([line])
    if given.execute:
        screen.tell(f"go on with: outbox resume --service {service} --reason '{given.topic} has grown'")
    else:
        screen.tell("dry run: nothing stands in the way; --execute --reason '…' grows it")


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("topic", metavar="TOPIC")
    parser.add_argument("--to", type=count, required=True, metavar="N", help="how many partitions it shall have")
    parser.add_argument("--execute", action="store_true", help="grow it; without it, say what stands in the way")
    parser.add_argument(
        "--regardless",
        action="append",
        default=[],
        metavar="GROUP",
        help="grow though this consumer group has not read to the end; it may see keys out of order; repeatable",
    )
    parser.add_argument(
        "--wait",
        type=seconds,
        default=WAIT_SECONDS,
        metavar="SECONDS",
        help=f"how long to wait for relay and groups (default {WAIT_SECONDS:.0f})",
    )
    add_record(parser, required=False)
    parser.set_defaults(reason=None)


GROW: Final = Verb(
    _grow,
    "Give a topic more partitions while its relay is paused and every consumer group has read to its end, so that each "
    "key keeps its order: without --execute, say what stands in the way.",
    "outbox grow order.events.v1 --to 12 --execute --reason 'six consumers are not enough'",
    _arguments,
)

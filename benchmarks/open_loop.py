"""From commit to consumed, one event at a time, at a rate that does not wait for anybody.

Two programs beside the peer. The writer commits one event a transaction at fixed times, whatever becomes of the ones
before, wakes the relay as `append` does, and notes when each commit returned. The consumer notes when each
record came out of `poll`. Both read the same clock; the difference is the latency.
"""

import argparse
import json
import socket
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Any, Final

import psycopg
from confluent_kafka import Consumer, TopicPartition

from benchmarks.peers.process import Peer
from benchmarks.rows import pool
from benchmarks.stage import PARTITIONS, Stage, Topic
from devstack.harness.databases import ServiceDatabase
from devstack.harness.stack import CHECKOUT
from schemas.events import OrderPlaced

FIRST_SECONDS: Final = 1.0  # before the first event, for both programs to come up
MISSING_SECONDS: Final = 30.0
INSERT: Final = """
INSERT INTO waybill_outbox (event_id, topic, aggregate_type, aggregate_id, aggregate_version, event_type,
                    schema_version, payload, metadata)
VALUES (gen_random_uuid(), %s, 'order', %s, 1, %s, %s, %s, %s)
"""


def latencies_ms(
    stage: Stage, database: ServiceDatabase, topic: Topic, peer: Peer, *, rate: int, events: int
) -> list[float]:
    """Return how long each event took, in the sequence of writing; the peer must be running and have nothing to do."""
    mark = uuid.uuid4().hex
    written, consumed = stage.folder / f"written-{mark}.json", stage.folder / f"consumed-{mark}.json"
    consumer = _program("consume", stage.kafka, topic.name, mark, str(events), str(consumed))
    try:
        assert consumer.stdout is not None
        assert consumer.stdout.readline() == b"ready\n"
        wake_up = getattr(peer, "wake_up", "")
        urls = (database.service_url, topic.name, mark, wake_up)
        writer = _program("write", *urls, str(rate), str(events), str(written))
        assert writer.wait(events / rate + MISSING_SECONDS) == 0, "the writer failed"
        assert consumer.wait(MISSING_SECONDS) == 0, f"{peer.name}: not every event came\n{peer.tail()}"
    finally:
        consumer.kill()
        consumer.wait()
    arrived = json.loads(consumed.read_text())
    return [(arrived[str(n)] - at) / 1e6 for n, at in enumerate(json.loads(written.read_text()))]


def _program(*arguments: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "benchmarks.open_loop", *arguments]
    return subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.PIPE)


def write(given: argparse.Namespace) -> None:
    """Commit events at fixed times."""
    rows = [(payload, metadata) for _, payload, metadata in pool()]
    sock = _socket_to(given.wake_up)
    at_ns: list[int] = []
    with psycopg.connect(given.url, autocommit=True) as connection:
        start = time.perf_counter() + FIRST_SECONDS
        for number in range(given.events):
            wait = start + number / given.rate - time.perf_counter()
            if wait > 0:
                time.sleep(wait)  # the pace is the load's, whatever becomes of it
            payload, metadata = rows[number % len(rows)]
            kind = (OrderPlaced.event_type, OrderPlaced.schema_version)
            connection.execute(INSERT, (given.topic, f"{given.mark}-{number}", *kind, payload, metadata), prepare=True)
            at_ns.append(time.time_ns())
            if sock is not None:
                sock.send(b"")
    Path(given.file).write_text(json.dumps(at_ns))


def _socket_to(wake_up: str) -> socket.socket | None:
    if not wake_up:
        return None
    host, _, port = wake_up.rpartition(":")
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.connect((host, int(port)))
    return sock


def consume(given: argparse.Namespace) -> None:
    """Note when each of the writer's events comes."""
    consumer = Consumer({"bootstrap.servers": given.kafka, "group.id": given.mark, "enable.auto.commit": False})
    places = [TopicPartition(given.topic, number) for number in range(PARTITIONS)]
    ends = [consumer.get_watermark_offsets(place, timeout=10)[1] for place in places]
    consumer.assign([TopicPartition(given.topic, n, end) for n, end in enumerate(ends)])
    consumer.poll(0.5)
    print("ready", flush=True)
    found: dict[int, int] = {}
    last = time.monotonic()
    while len(found) < given.events and time.monotonic() - last < MISSING_SECONDS:
        message: Any = consumer.poll(0.1)
        at = time.time_ns()
        if message is None or message.error() is not None:
            continue
        mark, _, number = message.key().decode().rpartition("-")
        if mark == given.mark:
            found.setdefault(int(number), at)
            last = time.monotonic()
    consumer.close()
    Path(given.file).write_text(json.dumps(found))
    sys.exit(len(found) < given.events)


def main() -> None:
    """Be one of the two programs."""
    parser = argparse.ArgumentParser(description=__doc__)
    programs = parser.add_subparsers(required=True)
    writing = programs.add_parser("write")
    for name in ("url", "topic", "mark", "wake_up"):
        writing.add_argument(name)
    writing.add_argument("rate", type=int)
    writing.set_defaults(do=write)
    consuming = programs.add_parser("consume")
    for name in ("kafka", "topic", "mark"):
        consuming.add_argument(name)
    consuming.set_defaults(do=consume)
    for one in (writing, consuming):
        one.add_argument("events", type=int)
        one.add_argument("file")
    given = parser.parse_args()
    given.do(given)


if __name__ == "__main__":
    main()

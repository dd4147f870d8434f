"""A topic gets more partitions, and every key keeps its order; without the procedure it gets none."""

import threading
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Self

import psycopg
import pytest
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient

from devstack.harness.wait import wait_until
from outbox_relay.operations.topics import groups
from outbox_relay.operations.topics.grow import Growth, obstacles
from tests.support.outbox_command import AWAY, Ended, outbox, settings
from tests.support.relays import Outbox, append, append_many, relay, set_limit
from tests.support.replaying import jobs
from tests.support.replaying import running as replaying

pytestmark = pytest.mark.slow

KEYS = [f"key-{number}" for number in range(40)]
BEFORE, AFTER = 3, 8
GO = ["--execute", "--reason", "three are not enough"]

Seen = tuple[str, int, int, bool]
"""Key, version, partition, and whether it is a replay's copy."""


class Subscriber:
    """A consumer group of one, which reads all the time, and commits once it has noted what it read."""

    def __init__(self, own: Outbox) -> None:
        self.group = f"subscriber-{uuid.uuid4().hex[:8]}"
        self.seen: list[Seen] = []
        self._stop = threading.Event()
        self._consumer = Consumer(
            {
                "bootstrap.servers": own.kafka,
                "group.id": self.group,
                "auto.offset.reset": "earliest",
                "enable.auto.commit": False,
                "topic.metadata.refresh.interval.ms": 200,
            }
        )
        self._consumer.subscribe([own.topic])
        self._thread = threading.Thread(target=self._read)

    def _read(self) -> None:
        known: set[Seen] = set()
        while not self._stop.is_set():
            for message in self._consumer.consume(50, 0.1):
                assert message.error() is None, message.error()
                headers = dict(message.headers())
                version = int(headers["ce_sequence"])
                one = (message.key().decode(), version, message.partition(), "ce_replayid" in headers)
                if one not in known:  # a rebalance may bring it again
                    known.add(one)
                    self.seen.append(one)
            self._commit()

    def _commit(self) -> None:
        places = [place for place in self._consumer.position(self._consumer.assignment()) if place.offset >= 0]
        if places:
            self._consumer.commit(offsets=places, asynchronous=False)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(15)
        self._consumer.close()

    def versions(self, *, replayed: bool = False) -> dict[str, list[int]]:
        found: dict[str, list[int]] = defaultdict(list)
        for key, version, _, copy in list(self.seen):
            if copy == replayed:
                found[key].append(version)
        return dict(found)

    def partitions(self) -> dict[str, list[int]]:
        """Where each key's records stand, each change of place once."""
        found: dict[str, list[int]] = defaultdict(list)
        for key, _, partition, _ in list(self.seen):
            if found[key][-1:] != [partition]:
                found[key].append(partition)
        return dict(found)


class Writer:
    """Writes the next version of every key, again and again, until it is stopped."""

    def __init__(self, own: Outbox) -> None:
        self._own, self._stop = own, threading.Event()
        self.written = 0
        self._thread = threading.Thread(target=self._write)

    def _write(self) -> None:
        with self._own.connect(autocommit=False) as connection:
            while not self._stop.wait(0.02):
                for key in KEYS:
                    append(connection, self._own.topic, key, self.written + 1)
                connection.commit()
                self.written += 1

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(15)


def act(own: Outbox, *arguments: str) -> Ended:
    return outbox(*arguments, "--service", "order", **settings(own.kafka, order=own.database.service_url))


def pause(own: Outbox) -> None:
    assert act(own, "pause", "--reason", "the topic grows").code == 0


def resume(own: Outbox) -> None:
    assert act(own, "resume").code == 0


def grow(own: Outbox, *arguments: str, to: int = AFTER, wait: str = "0") -> Ended:
    return act(own, "grow", own.topic, "--to", str(to), "--wait", wait, "--json", *arguments)


def partitions(own: Outbox) -> int:
    return len(
        AdminClient({"bootstrap.servers": own.kafka}).list_topics(own.topic, timeout=10).topics[own.topic].partitions
    )


@contextmanager
def foreign(own: Outbox) -> Iterator[tuple[str, Callable[[], None]]]:
    """A foreign group that has read one record, and reads one more each time it is told to."""
    group = f"foreign-{uuid.uuid4().hex[:8]}"
    consumer = Consumer({"bootstrap.servers": own.kafka, "group.id": group, "auto.offset.reset": "earliest"})

    def take() -> None:
        message = wait_until(lambda: consumer.poll(0.2), deadline_seconds=20, what="a record")
        consumer.commit(message, asynchronous=False)

    try:
        consumer.subscribe([own.topic])
        take()
        yield group, take
    finally:
        consumer.close()


def test_every_key_keeps_its_order_while_a_topic_grows_under_traffic(own_outbox: Outbox):
    own = own_outbox
    with relay(own) as running, Subscriber(own) as group, Writer(own) as writer:
        wait_until(lambda: len(group.seen) > 500, deadline_seconds=30, what="records read")
        pause(own)
        done = grow(own, *GO, "--by", "ana", wait="30")
        assert (done.code, done.lines()[0]["grown"]) == (0, True), done.err
        before = len(group.seen)
        assert partitions(own) == AFTER
        resume(own)
        wait_until(lambda: len(group.seen) > before + 500, deadline_seconds=30, what="records read after it has grown")
        writer.stop()
        total = writer.written * len(KEYS)
        running.wait_for("all read", lambda: len(group.seen) == total, 30)
    assert group.versions() == {key: list(range(1, writer.written + 1)) for key in KEYS}
    assert len({partition for _, _, partition, _ in group.seen[:before]}) <= BEFORE
    moved = [places for places in group.partitions().values() if len(places) > 1]
    assert len(moved) > len(KEYS) / 3, "the relay's producer has not noticed the new partitions"
    assert max(map(len, moved)) == 2, "a key moved more than once"
    counts = act(own, "verify", "--no-rows", "--json").lines()[-1]
    assert (counts["events"], counts["reordered"], counts["lost"]) == (writer.written * len(KEYS), 0, 0)
    ((operator, what),) = own.execute("SELECT operator, what FROM waybill_operator_action WHERE verb = 'grow'")
    assert (operator, what) == ("ana", {"topic": own.topic, "from": BEFORE, "to": AFTER, "regardless": []})


@pytest.mark.slow
def test_what_was_a_dead_letter_and_what_is_replayed_keep_their_order_across_it(own_outbox: Outbox):
    own = own_outbox
    with relay(own) as running, Subscriber(own) as group, own.connect() as writer:
        set_limit(own.kafka, own.topic, 10_000)
        for version in (1, 2):
            for key in KEYS:
                append(writer, own.topic, key, version, size=20_000 if version == 2 and key == KEYS[0] else 20)
        append(writer, own.topic, KEYS[0], 3)
        running.wait_for("two dead letters", lambda: len(own.dead_letters()) == 2)
        wait_until(lambda: len(group.seen) == 2 * len(KEYS) - 1, deadline_seconds=20, what="what is no dead letter")
        pause(own)
        set_limit(own.kafka, own.topic, 1_000_000)
        assert grow(own, *GO, wait="20").code == 0
        resume(own)
        assert act(own, "redrive", "--publications", "--wait", "20", "--reason", "the limit was raised").code == 0
        for key in KEYS:
            append(writer, own.topic, key, 4 if key == KEYS[0] else 3)
        total = 3 * len(KEYS) + 1
        wait_until(
            lambda: len(group.seen) == total, deadline_seconds=20, what="what was a dead letter", seen=group.seen[-3:]
        )
        assert act(own, "replay", "--positions", "1..", *GO).code == 0
        wait_until(lambda: len(group.seen) == 2 * total, deadline_seconds=20, what="the replay")
    assert group.versions() == group.versions(replayed=True)
    assert {tuple(found) for found in group.versions().values()} == {(1, 2, 3), (1, 2, 3, 4)}


def test_nothing_grows_while_the_relay_may_send_or_a_group_is_behind(own_outbox: Outbox):
    own = own_outbox
    with relay(own) as running, own.connect() as writer:
        for version in range(1, 4):
            append(writer, own.topic, "a", version)
        own.wait_for_cursor(3)
        unpaused = grow(own, *GO)
        assert (unpaused.code, unpaused.out) == (1, "")
        assert "the relay of order is not paused: outbox pause --service order --reason" in unpaused.err
        with foreign(own) as (group, _):
            pause(own)
            running.wait_for("rest", lambda: "paused" in (running.unready() or ""))
            late = grow(own, *GO)
            assert late.code == 1
            assert f"group {group} has 2 records still to read, in partitions " in late.err
            assert f"--regardless {group}" in late.err
            assert f"{own.topic} keeps its 3 partitions" in late.err
            dry = grow(own, "--regardless", group)
            assert (dry.code, dry.lines()[0]["grown"]) == (0, False)
            assert partitions(own) == BEFORE
            assert grow(own, *GO, "--regardless", group).code == 0
    assert partitions(own) == AFTER


def test_nothing_grows_while_a_replay_is_being_sent(own_outbox: Outbox):
    own = own_outbox
    with own.connect() as writer:
        append_many(writer, own.topic, 500)
    own.execute("UPDATE waybill_outbox_cursor SET position = 500")
    pause(own)
    with replaying(own, "--positions", "1..", *GO, "--rate", "1"):
        sent = wait_until(
            lambda: [job for job in jobs(own) if job["state"] == "running"],
            deadline_seconds=20,
            what="a running replay",
        )
        refused = grow(own, *GO)
    assert refused.code == 1
    assert f"replay {sent[0]['id']} is being sent: stop it, and resume it afterwards" in refused.err
    assert partitions(own) == BEFORE


def test_nobody_resumes_while_partitions_are_added(own_outbox: Outbox):
    own = own_outbox
    pause(own)
    kafka = {"bootstrap.servers": own.kafka}
    with own.connect() as grower, own.connect() as other, grower.transaction():
        assert obstacles(Growth(own.topic, "order", AFTER), grower, kafka) == ([], True)
        other.execute("SET lock_timeout = '100ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            other.execute("DELETE FROM waybill_relay_pause")
        assert other.execute("SELECT FROM waybill_relay_pause").rowcount == 1  # the relay reads on


def test_the_end_of_a_kafka_transaction_is_nothing_left_to_read(own_outbox: Outbox):
    own, kafka = own_outbox, {"bootstrap.servers": own_outbox.kafka}
    producer = Producer({**kafka, "transactional.id": f"writer-{uuid.uuid4()}"})
    producer.init_transactions(20)
    for _ in range(2):
        producer.begin_transaction()
        producer.produce(own.topic, b"x", "a")
        producer.commit_transaction(20)
    with foreign(own) as (group, take):
        (half,) = groups.read(kafka, own.topic)
        assert (half.group, len(half.left)) == (group, 1)
        take()
        (whole,) = groups.read(kafka, own.topic)
        assert (whole.group, whole.left) == (group, {})  # though its offset is one below the end


def test_a_frozen_relay_counts_as_one_that_may_send(own_outbox: Outbox):
    own = own_outbox
    with own.connect() as leader:
        leader.execute("SELECT pg_advisory_lock(%s)", (0x7761_7962_696C,))
        pause(own)
        refused = grow(own, *GO)
        assert (refused.code, "the relay of order still has records in flight" in refused.err) == (1, True)
    assert partitions(own) == BEFORE
    assert grow(own, *GO, wait="10").code == 0  # nobody leads, and a pause keeps whoever comes from sending


def test_a_number_that_is_there_changes_nothing_and_a_smaller_one_is_refused(own_outbox: Outbox):
    same = grow(own_outbox, to=BEFORE)
    assert (same.code, f"{own_outbox.topic} has 3 partitions; nothing is changed" in same.err) == (0, True)
    fewer = grow(own_outbox, to=2)
    assert (fewer.code, "Kafka takes none away, and 2 are fewer" in fewer.err) == (2, True)
    assert partitions(own_outbox) == BEFORE


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["order.events.v1", "--to", "12", "--execute"], 4, "Kafka at 127.0.0.1:1"),
        (["billing.events.v1", "--to", "12"], 2, "say which service writes billing.events.v1: --service NAME"),
    ],
)
def test_what_cannot_be_done_is_one_line(arguments: list[str], code: int, says: str):
    done = outbox("grow", *arguments, **settings(order=AWAY))
    assert (done.code, done.out, len(done.err.splitlines())) == (code, "", 1)
    assert says in done.err

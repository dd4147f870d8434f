"""The server is killed under a running relay: what was committed is published, and the relay goes on by itself."""

import itertools
import random
import threading
from contextlib import closing
from typing import Self

import psycopg
import pytest

from devstack.harness.wait import wait_until
from tests.support.outbox_command import outbox as command
from tests.support.outbox_command import settings
from tests.support.postgres import PostgresServer
from tests.support.relays import Outbox, RelayProcess, append, read_topic, relay, repeated, versions
from tests.support.writing import AGGREGATES, write

SESSIONS = 6
BATCH = {"WAYBILL_RELAY_BATCH_ROWS": "100", "WAYBILL_RELAY_BATCHES_IN_FLIGHT": "2"}
IN_FLIGHT = 200

# A prepared transaction comes back from a crash under another name: holders that are kept have all "ended".
KEEPS_HOLDERS = """
from outbox_relay.relay.program.serving import main
from outbox_relay.relay.cursor import Cursor
honest, kept = Cursor.held_by, {}
def held_by(self, holders):
    return honest(self, kept.setdefault(self.gaps[0].first, holders) if self.gaps else holders)
Cursor.held_by = held_by
main()
"""


@pytest.fixture
def outbox(server_outbox: Outbox) -> Outbox:
    return server_outbox


def prepare(outbox: Outbox, aggregate: str) -> None:
    """Leave a transaction prepared, named as the topic, that wrote one event."""
    with outbox.connect() as session:
        session.execute("BEGIN")
        append(session, outbox.topic, aggregate, 1)
        session.execute(f"PREPARE TRANSACTION '{outbox.topic}'")


def write_one(outbox: Outbox, aggregate: str, version: int) -> int:
    with outbox.connect() as session:
        return append(session, outbox.topic, aggregate, version)


def crash(server: PostgresServer, running: RelayProcess) -> None:
    """Kill the server, start it, and wait until the relay has found it again."""
    led = len(running.events("relay_leads"))
    server.restart()
    running.wait_for("a new session", lambda: len(running.events("relay_leads")) > led)


@pytest.mark.slow
def test_a_prepared_transaction_that_outlives_a_crash_is_published_when_it_commits(
    outbox: Outbox, server: PostgresServer
):
    with relay(outbox) as running:
        prepare(outbox, "prepared")
        write_one(outbox, "b", 1)
        outbox.wait_for_cursor(2, [1, 1])
        outbox.wait_until_durable()
        crash(server, running)
        last = write_one(outbox, "b", 2)
        outbox.wait_for_cursor(last, [1, 1, 3, last - 1])  # an identity goes on up to 32 further after a crash
        outbox.execute(f"COMMIT PREPARED '{outbox.topic}'")
        outbox.wait_for_cursor(last)
    records = read_topic(outbox.kafka, outbox.topic)
    assert versions(records) == {"prepared": [1], "b": [1, 2]}
    assert repeated(records) == 0


def test_it_is_published_also_by_a_relay_that_was_killed_with_the_server(outbox: Outbox, server: PostgresServer):
    with relay(outbox) as killed:
        prepare(outbox, "prepared")
        write_one(outbox, "b", 1)
        outbox.wait_for_cursor(2, [1, 1])
        outbox.wait_until_durable()
        server.kill()
        killed.kill()
        server.start()
    last = write_one(outbox, "b", 2)
    with relay(outbox):
        outbox.wait_for_cursor(last, [1, 1, 3, last - 1])
        outbox.execute(f"COMMIT PREPARED '{outbox.topic}'")
        outbox.wait_for_cursor(last)
    records = read_topic(outbox.kafka, outbox.topic)
    assert versions(records) == {"prepared": [1], "b": [1, 2]}
    assert repeated(records) == 0


def test_a_checkpoint_does_not_wait_for_the_disk(outbox: Outbox, server: PostgresServer):
    version = itertools.count(1)

    def is_lost() -> bool:
        with relay(outbox) as killed:
            outbox.wait_for_cursor(position := write_one(outbox, "a", next(version)))
            server.kill()
            killed.kill()
            server.start()
        return outbox.cursor()[0] < position

    wait_until(is_lost, deadline_seconds=20, what="a checkpoint that no heartbeat has come after")


def test_a_crash_repeats_what_was_published_since_the_last_heartbeat_and_nothing_before(
    outbox: Outbox, server: PostgresServer
):
    with relay(outbox) as running:
        outbox.wait_for_cursor(write_one(outbox, "a", 1))
        outbox.wait_until_durable()
        crash(server, running)  # at once: the commit of anybody else would wait for the checkpoint's WAL too
        outbox.wait_for_cursor(write_one(outbox, "a", 2))
        crash(server, running)
        outbox.wait_for_cursor(write_one(outbox, "a", 3))
        assert not running.events("relay_cursor_went_back")
    seen = [record.version for record in read_topic(outbox.kafka, outbox.topic)]
    assert seen in ([1, 2, 3], [1, 2, 2, 3])


def test_holders_that_are_kept_over_a_crash_lose_the_prepared_event(outbox: Outbox, server: PostgresServer):
    with relay(outbox, program=("-c", KEEPS_HOLDERS)) as running:
        prepare(outbox, "prepared")
        write_one(outbox, "b", 1)
        outbox.wait_for_cursor(2, [1, 1])
        outbox.wait_until_durable()
        crash(server, running)
        outbox.wait_for_cursor(2)
        outbox.execute(f"COMMIT PREPARED '{outbox.topic}'")
        last = write_one(outbox, "b", 2)
        outbox.wait_for_cursor(last)
    assert versions(read_topic(outbox.kafka, outbox.topic)) == {"b": [1, 2]}


GHOSTS = 40  # an identity is logged 32 ahead: the last of these positions are handed out a second time


@pytest.mark.slow
def test_ghosts_of_synchronous_commit_off_cost_no_later_event_and_are_named_by_verify(
    outbox: Outbox, server: PostgresServer
):
    with relay(outbox):
        write_one(outbox, "a", 1)
        outbox.wait_for_cursor(1)
        ghosts = publish_ghosts(outbox, server)
        server.start()
        assert outbox.execute("SELECT count(*) FROM waybill_outbox") == [(1,)]
        later = [write_one(outbox, "a", version) for version in range(2, GHOSTS + 2)]
        outbox.wait_for_cursor(later[-1])
        assert set(later) & set(ghosts), "the case: positions were handed out again"
    committed = {event for (event,) in outbox.execute("SELECT event_id::text FROM waybill_outbox")}
    records = [record for record in read_topic(outbox.kafka, outbox.topic) if record.headers["ce_id"] in committed]
    assert [record.version for record in records] == list(range(1, GHOSTS + 2))
    done = command("verify", "--no-rows", "--json", **settings(outbox.kafka, shop=outbox.database.service_url))
    *_, counts = done.lines()
    found = {kind: counts[kind] for kind in ("ghost", "lost", "reordered", "versions", "cursor")}
    assert found == {"ghost": GHOSTS, "lost": 0, "reordered": 0, "versions": 0, "cursor": 0}
    assert done.code == 1


def publish_ghosts(outbox: Outbox, server: PostgresServer) -> list[int]:
    """Have events published that the server has in memory only, and kill it; returns their positions.

    The cursor's row is locked meanwhile: writing it would write all WAL before it, and with it the events.
    """
    with outbox.connect() as writer, closing(psycopg.connect(outbox.database.superuser_url)) as locking:
        writer.execute("SET synchronous_commit = off")
        beat = outbox.execute("SELECT heartbeat_at FROM waybill_outbox_cursor")
        wait_until(
            lambda: outbox.execute("SELECT heartbeat_at FROM waybill_outbox_cursor") != beat,
            deadline_seconds=5,
            what="a heartbeat, as the next one will wait for the lock",
            every_seconds=0.01,
        )
        locking.execute("SELECT FROM waybill_outbox_cursor FOR UPDATE")
        with writer.transaction():
            positions = [append(writer, outbox.topic, "a", version) for version in range(2, GHOSTS + 2)]
        wait_until(
            lambda: len(read_topic(outbox.kafka, outbox.topic)) == GHOSTS + 1, deadline_seconds=5, what="the ghosts"
        )
        server.kill()
        return positions


def keep_writing(outbox: Outbox, seed: int, stop: threading.Event, committed: set[tuple[str, int]]) -> None:
    """Write as `write` does, on a new session after each that was ended."""
    attempt = 0
    while not stop.is_set():
        attempt += 1
        try:
            write(outbox, seed * 1_000 + attempt, stop, committed)
        except (psycopg.OperationalError, psycopg.Rollback):  # a Rollback to a savepoint of a session that has ended
            stop.wait(0.05)


class Writers:
    """Many writers, until told to stop; then everything committed must be on the topic, in order."""

    def __init__(self, outbox: Outbox):
        self._outbox = outbox
        outbox.execute("CREATE TABLE proof_aggregate (id int PRIMARY KEY, version int NOT NULL)")
        outbox.execute("INSERT INTO proof_aggregate SELECT i, 0 FROM generate_series(1, %s) i", AGGREGATES)
        outbox.execute("GRANT ALL ON proof_aggregate TO test_service")
        self._stop, self._committed = threading.Event(), set[tuple[str, int]]()
        shared = (self._stop, self._committed)
        self._threads = [threading.Thread(target=keep_writing, args=(outbox, n, *shared)) for n in range(SESSIONS)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(20)

    def go_on(self, events: int) -> None:
        """Wait until that many more were committed."""
        wanted = len(self._committed) + events
        wait_until(lambda: len(self._committed) >= wanted, deadline_seconds=20, what=f"{events} more events")

    def check(self, running: RelayProcess, most_repeated: int) -> None:
        """Compare the outbox with the topic, once the relay has caught up."""
        (last,) = self._outbox.execute("SELECT max(position) FROM waybill_outbox")[0]
        running.wait_for("cursor at rest", lambda: self._outbox.cursor() == (last, []), 20)
        rows = {
            (key, version)
            for key, version in self._outbox.execute("SELECT aggregate_id, aggregate_version FROM waybill_outbox")
        }
        records = read_topic(self._outbox.kafka, self._outbox.topic)
        first_seen = versions(records)
        assert {(key, version) for key, found in first_seen.items() for version in found} == rows
        assert self._committed <= rows
        assert [key for key, found in first_seen.items() if found != sorted(found)] == []
        assert repeated(records) <= most_repeated


@pytest.mark.slow
def test_sessions_that_are_ended_at_random_lose_nothing(outbox: Outbox):
    rng = random.Random(7)
    with relay(outbox, **BATCH) as running:
        running.wait_until_leading()
        with Writers(outbox) as writers:
            for _ in range(8):
                writers.go_on(100)
                sessions = outbox.execute("SELECT pid FROM pg_stat_activity WHERE usename = 'test_service'")
                victims = [*rng.sample(sessions, 2), *leaders(outbox)]
                outbox.execute(
                    "SELECT pg_terminate_backend(pid) FROM unnest(%s::int[]) AS pid", [p for (p,) in victims]
                )
                running.wait_for("a new session", lambda: leaders(outbox))
        writers.check(running, most_repeated=8 * IN_FLIGHT)


def leaders(outbox: Outbox) -> list[tuple[int]]:
    return outbox.execute("SELECT pid FROM pg_stat_activity WHERE application_name ~ '^outbox_relay'")


def test_a_crash_in_the_middle_of_traffic_is_survived_by_the_relay_itself(outbox: Outbox, server: PostgresServer):
    with relay(outbox, **BATCH) as running:
        running.wait_until_leading()
        with Writers(outbox) as writers:
            writers.go_on(300)
            crash(server, running)
            writers.go_on(300)
        writers.check(running, most_repeated=IN_FLIGHT)
        assert running.unready() is None

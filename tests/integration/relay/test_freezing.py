"""A leader frozen where no time-out of PostgreSQL frees its lock: it is put out, and harms nothing when it wakes."""

import signal

import psycopg
import pytest

from devstack.harness.wait import wait_until
from tests.support.relays import (
    EVENT_TYPE,
    SCHEMA_VERSION,
    Outbox,
    RelayProcess,
    append,
    make_topic,
    read_topic,
    relay,
    repeated,
    versions,
)

TAKEOVER_SECONDS = 15
BATCH_ROWS, IN_FLIGHT = 2_000, 2  # as by default
LARGE, AGGREGATES = 8_000, 50
SOON = {"WAYBILL_RELAY_STALE_SECONDS": "3"}

# As much as one row may take that is read with the batch: 16 MB a fetch, more than the sockets' buffers take.
INSERT_LARGE = """
INSERT INTO waybill_outbox (event_id, topic, aggregate_type, aggregate_id, aggregate_version, event_type,
                    schema_version, payload, metadata)
SELECT gen_random_uuid(), %s, 'order', i %% %s, i / %s + 1, %s, %s, convert_to(repeat('x', 8000), 'UTF8'), '{}'
FROM generate_series(0, %s - 1) AS i
"""
SESSION = (
    "SELECT state, wait_event, query LIKE '%%FROM waybill_outbox WHERE%%' FROM pg_stat_activity "
    "WHERE application_name = %s"
)


def session(looking: psycopg.Connection, leader: RelayProcess) -> tuple[str, str | None, bool]:
    """What the leader's session does: its state, what it waits for, and whether it fetches."""
    return looking.execute(SESSION, (f"outbox_relay {leader.name}",)).fetchone() or ("gone", None, False)


def freeze_in_a_large_fetch(outbox: Outbox, leader: RelayProcess) -> None:
    """Stop the leader while PostgreSQL is sending it megabytes; another time where it was just past that."""
    with psycopg.connect(outbox.database.superuser_url, autocommit=True) as looking:

        def frozen() -> bool:
            state, _, fetches = session(looking, leader)
            if state != "active" or not fetches:
                return False
            leader.signal(signal.SIGSTOP)
            wait_until(
                lambda: session(looking, leader)[1] in {"ClientWrite", "ClientRead"},
                deadline_seconds=5,
                what="a session that waits for its client",
                every_seconds=0.01,
            )
            if all(session(looking, leader)[1] == "ClientWrite" for _ in range(100)):
                return True
            leader.signal(signal.SIGCONT)
            return False

        leader.wait_for("a fetch to freeze in", lambda: next((True for _ in range(100) if frozen()), False), 30)


def wake(leader: RelayProcess) -> None:
    """Let it go on, and wait until it has found out and stands by."""
    leader.signal(signal.SIGCONT)
    leader.wait_for("standing by", lambda: leader.events("relay_stands_by"))


@pytest.mark.slow
def test_a_leader_frozen_in_the_middle_of_a_large_fetch_is_followed_within_15_seconds(outbox: Outbox):
    with relay(outbox) as leader:
        leader.wait_until_leading()
        with outbox.connect() as writer:
            writer.execute(INSERT_LARGE, (outbox.topic, AGGREGATES, AGGREGATES, EVENT_TYPE, SCHEMA_VERSION, LARGE))
        freeze_in_a_large_fetch(outbox, leader)
        reached, _ = outbox.cursor()
        with relay(outbox) as standby:
            standby.wait_until_leading(TAKEOVER_SECONDS)
            assert reached < LARGE
            assert outbox.leader() == standby.name
            wake(leader)
            outbox.wait_for_cursor(LARGE)
    records = read_topic(outbox.kafka, outbox.topic)
    whole = list(range(1, LARGE // AGGREGATES + 1))
    assert versions(records) == {str(key): whole for key in range(AGGREGATES)}
    assert repeated(records) <= BATCH_ROWS * IN_FLIGHT


@pytest.mark.slow
def test_a_leader_frozen_in_a_transaction_is_followed_and_no_dead_letter_is_written_twice(outbox: Outbox):
    narrow = Outbox(outbox.database, outbox.kafka, make_topic(outbox.kafka, **{"max.message.bytes": "10000"}))
    with relay(narrow, **SOON) as leader, psycopg.connect(outbox.database.superuser_url) as locking:
        leader.wait_until_leading()
        locking.execute("LOCK TABLE published IN EXCLUSIVE MODE")
        with narrow.connect() as writer, psycopg.connect(outbox.database.superuser_url, autocommit=True) as looking:
            append(writer, narrow.topic, "a", 1, size=50_000)
            append(writer, narrow.topic, "b", 1)
            leader.wait_for("waiting for the lock", lambda: session(looking, leader)[1] == "relation")
            leader.signal(signal.SIGSTOP)
            locking.rollback()
            leader.wait_for("idle in its transaction", lambda: session(looking, leader)[0] == "idle in transaction")
            with relay(narrow, **SOON) as standby:
                standby.wait_until_leading(TAKEOVER_SECONDS)
                narrow.wait_for_cursor(2)
                wake(leader)
                append(writer, narrow.topic, "b", 2)
                narrow.wait_for_cursor(3)
    assert versions(read_topic(narrow.kafka, narrow.topic)) == {"b": [1, 2]}
    assert [(key, version) for key, version, _ in narrow.dead_letters()] == [("a", 1)]

"""The experiment that the cursor comes from, on the real relay: nothing lost, repeated or out of order."""

import threading
from collections.abc import Sequence

import pytest

from devstack.harness.wait import wait_until
from tests.support.relays import Outbox, read_topic, relay, repeated
from tests.support.writing import AGGREGATES, ENOUGH, WRITERS, write

FORGETS_GAPS = """
from outbox_relay.relay.program.serving import main
from outbox_relay.relay.cursor import Cursor
def passing(self, visible, holders, seen_to, now):
    return Cursor(max([self.position, *visible]))
Cursor.passing = passing
main()
"""
FORGETS_HOLDERS = """
from outbox_relay.relay.program.serving import main
from outbox_relay.relay.cursor import Cursor
honest = Cursor.held_by
Cursor.held_by = lambda self, holders: honest(self, frozenset())
main()
"""


def lost_repeated_reordered(outbox: Outbox, program: Sequence[str]) -> tuple[int, int, int]:
    """Let the writers write under a relay and an unrelated open transaction; count what went wrong."""
    outbox.execute("CREATE TABLE proof_aggregate (id int PRIMARY KEY, version int NOT NULL)")
    outbox.execute("INSERT INTO proof_aggregate SELECT i, 0 FROM generate_series(1, %s) i", AGGREGATES)
    outbox.execute("CREATE TABLE proof_unrelated (x int)")
    outbox.execute("GRANT ALL ON proof_aggregate, proof_unrelated TO test_service")
    stop, committed = threading.Event(), set[tuple[str, int]]()
    threads = [threading.Thread(target=write, args=(outbox, seed, stop, committed)) for seed in range(WRITERS)]
    with relay(outbox, program=program) as running, outbox.connect(autocommit=False) as unrelated:
        running.wait_until_leading()
        unrelated.execute("INSERT INTO proof_unrelated VALUES (1)")
        for thread in threads:
            thread.start()
        try:
            wait_until(lambda: len(committed) > ENOUGH, deadline_seconds=90, what=f"{ENOUGH} committed events")
        finally:
            stop.set()
        for thread in threads:
            thread.join(60)
        last = outbox.execute("SELECT max(position) FROM waybill_outbox")[0][0]
        running.wait_for("cursor at rest", lambda: outbox.cursor() == (last, []), 60)
        unrelated.rollback()
        assert running.stop() == 0, running.log
    records = read_topic(outbox.kafka, outbox.topic)
    newest: dict[str, int] = {}
    reordered = 0
    for record in records:
        reordered += record.version <= newest.get(record.key, 0)
        newest[record.key] = max(record.version, newest.get(record.key, 0))
    lost = committed - {(record.key, record.version) for record in records}
    return len(lost), repeated(records), reordered


def test_nothing_is_lost_repeated_or_reordered(outbox: Outbox):
    assert lost_repeated_reordered(outbox, ("-m", "outbox_relay")) == (0, 0, 0)


@pytest.mark.slow
@pytest.mark.parametrize("mutant", [FORGETS_GAPS, FORGETS_HOLDERS], ids=["forgets gaps", "forgets holders"])
def test_the_experiment_finds_a_cursor_that_loses_events(outbox: Outbox, mutant: str):
    lost, _, _ = lost_repeated_reordered(outbox, ("-c", mutant))
    assert lost > 0

"""What reading costs the database does not depend on how much lies in the log."""

from collections.abc import Iterator
from typing import Any

import pytest

from outbox_relay.operations.events.tail import VISIBLE
from outbox_relay.relay.cursor import Cursor
from outbox_relay.relay.leadership import SESSION
from outbox_relay.relay.reading import FETCH_WITH_GAPS, Reader
from tests.support.relays import Outbox, append, append_many, read_topic, relay, repeated
from waybill.database.postgres_client import connect

IN_THE_LOG, GAPS, ROWS = 20_000, 50, 100

CHECKS_ALL_THE_TIME = """
from outbox_relay.relay import leadership, session
from outbox_relay.relay.program.serving import main
leadership.BEAT_SECONDS = session.CHECK_SECONDS = 0.0
main()
"""


@pytest.mark.slow
def test_a_leader_does_not_take_its_own_cursor_for_somebody_elses(outbox: Outbox):
    with outbox.connect() as writer:
        append_many(writer, outbox.topic, IN_THE_LOG * 3)
    with relay(outbox, program=("-c", CHECKS_ALL_THE_TIME), WAYBILL_RELAY_BATCH_ROWS="500") as running:
        outbox.wait_for_cursor(IN_THE_LOG * 3, deadline_seconds=60)
        assert [event["reason"] for event in running.events("relay_renews_producer")] == ["catching up"]
    assert repeated(read_topic(outbox.kafka, outbox.topic)) == 0


@pytest.mark.parametrize("statement", [FETCH_WITH_GAPS, VISIBLE], ids=["relay", "tail"])
def test_gaps_are_probed_without_reading_what_lies_between_them(outbox: Outbox, statement: str):
    with outbox.connect() as writer:
        append_many(writer, outbox.topic, IN_THE_LOG)
    gaps = [_gap(outbox, n) for n in range(GAPS)]
    outbox.execute("ANALYZE waybill_outbox")
    values = {"first": gaps, "last": gaps, "position": gaps[-1] + 1, "rows": ROWS}
    with connect(outbox.database.relay_url, "test", SESSION) as relay:
        plan: Any = relay.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", values, prepare=True).fetchone()
    assert sum(_rows_read(plan[0][0]["Plan"])) <= GAPS + ROWS


@pytest.mark.parametrize("held", [False, True])
def test_who_may_still_commit_a_gap_is_asked_again_only_where_somebody_held_it(
    outbox: Outbox, monkeypatch: pytest.MonkeyPatch, held: bool
):
    ask, asked = Reader.holders, []
    monkeypatch.setattr(Reader, "holders", lambda self: asked.append(self) or ask(self))
    missing = _gap(outbox, 1)
    with (
        outbox.connect(autocommit=False) as writer,
        connect(outbox.database.relay_url, "test", SESSION) as session,
        Reader(session) as reader,
    ):
        if held:
            append(writer, outbox.topic, "held", 1)
        page = reader.read(Cursor(0), ROWS)
        cursor = Cursor(0).passing(page.positions, page.holders, page.seen_to, 0).held_by(reader.holders())
        assert [(gap.first, gap.last, bool(gap.holders)) for gap in cursor.gaps] == [(missing, missing, held)]
        probe = reader.read(cursor, ROWS)
        assert len(asked) == 1 + held
        gone = cursor.passing(probe.positions, probe.holders, probe.seen_to, 0)
        assert [gap.first for gap in gone.gaps] == ([missing] if held else [])


def _gap(outbox: Outbox, number: int) -> int:
    with outbox.connect(autocommit=False) as writer:
        missing = append(writer, outbox.topic, "a", 1)
        writer.rollback()
        append(writer, outbox.topic, f"a-{number}", 1)
    return missing


def _rows_read(node: dict[str, Any]) -> Iterator[float]:
    if node.get("Relation Name") == "waybill_outbox":
        yield node["Actual Loops"] * (node["Actual Rows"] + node.get("Rows Removed by Filter", 0))
    for child in node.get("Plans", ()):
        yield from _rows_read(child)

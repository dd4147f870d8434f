"""The judge finds what it is there for."""

import pytest

from tests.handover.ledger import Ledger, Told, judge, mark


@pytest.fixture
def ledger() -> Ledger:
    """Three writes of one writer in order 1, and one into orders 1 and 2."""
    made = Ledger()
    for _ in range(3):
        made.end(made.begin("raw"), Told.DONE, [1])
    made.end(made.begin("bulk"), Told.DONE, [1, 2])
    return made


RAW, BULK = [mark("raw", number) for number in (1, 2, 3)], mark("bulk", 1)
WHOLE = {1: "".join(RAW) + BULK, 2: BULK}


def found(ledger: Ledger, notes: dict[int, str]) -> tuple[int, int, int]:
    judged = judge(ledger, notes)
    return len(judged.lost), len(judged.doubled), len(judged.reordered)


def test_what_is_there_once_and_in_its_sequence_is_well(ledger):
    assert found(ledger, WHOLE) == (0, 0, 0)


def test_a_write_that_is_gone_is_lost_also_from_one_order_of_several(ledger):
    assert found(ledger, WHOLE | {1: RAW[0] + RAW[2] + BULK}) == (1, 0, 0)
    assert found(ledger, WHOLE | {2: ""}) == (1, 0, 0)
    assert found(ledger, {2: BULK}) == (4, 0, 0)


def test_what_a_deleted_order_had_is_not_lost(ledger):
    ledger.deleted.add(1)
    assert found(ledger, {2: BULK}) == (0, 0, 0)


def test_a_write_that_is_there_twice_is_doubled(ledger):
    assert found(ledger, WHOLE | {1: WHOLE[1] + BULK}) == (0, 1, 1)


def test_an_older_write_behind_a_newer_one_is_reordered(ledger):
    assert found(ledger, WHOLE | {1: RAW[1] + RAW[0] + RAW[2] + BULK}) == (0, 0, 1)


def test_a_write_that_was_refused_and_is_there_was_made_twice(ledger):
    ledger.end(ledger.begin("raw"), Told.NOT_DONE)
    assert found(ledger, WHOLE | {2: BULK + mark("raw", 4)}) == (0, 1, 0)


def test_a_write_that_nobody_was_told_of_may_be_there_or_not(ledger):
    ledger.begin("raw")
    assert found(ledger, WHOLE) == (0, 0, 0)
    assert found(ledger, WHOLE | {2: BULK + mark("raw", 4)}) == (0, 0, 0)


def test_a_request_fails_for_a_reason_only_while_what_it_needs_is_away(ledger, monkeypatch):
    monkeypatch.setattr("time.monotonic", lambda: 20.0)
    ledger.fail(10.0, "POST /")
    assert len(ledger.failures()) == 1
    ledger.shaken.append((19.0, 30.0))
    assert ledger.failures() == []

"""What a move makes of the documents, what takes it back, and what its record says."""

from pathlib import Path
from typing import Any

import pytest

from tests.support.gateway.moving import DOCUMENTS
from waybill.gateway.documents.document import Document, parse
from waybill.gateway.moving import moves, record
from waybill.gateway.moving.moves import Move, NotPossible
from waybill.gateway.moving.watching import Compared, Counts, Limits, too_bad, too_different

SERVICES = ("hotel/monolith", "hotel/rooms", "hotel/suites")
LIMITS = Limits(errors=0.01, latency=2.0, mismatches=0.01, least=50)


def documents() -> tuple[Document, ...]:
    return parse({"documents.yaml": DOCUMENTS})


def shifted(given: tuple[Document, ...], **named: Any) -> tuple[Document, ...]:
    move = Move(**{"route": "rooms", "service": "hotel/rooms", **named})
    ready = moves.prepared(given, move, SERVICES)
    return moves.replaced(ready, moves.moved(ready, move))


def shares(given: tuple[Document, ...], rule: str = "reads") -> dict[str, float]:
    route = moves.route_of(given, "rooms")
    return next(one["services"] for one in moves.standing(route) if one["rule"] == rule)


def test_the_others_keep_their_proportion():
    third = shifted(shifted(documents(), weight=25), service="hotel/suites", weight=20)
    assert shares(third) == {"hotel/monolith": 60, "hotel/rooms": 20, "hotel/suites": 20}
    assert shares(shifted(third, weight=0)) == {"hotel/monolith": 75, "hotel/rooms": 0, "hotel/suites": 25}


def test_who_had_nothing_left_gets_the_rest_where_there_is_one_only():
    whole = shifted(documents(), weight=100)
    assert shares(shifted(whole, weight=70)) == {"hotel/monolith": 30, "hotel/rooms": 70}
    with pytest.raises(NotPossible, match="which of the others shall have the rest is not said"):
        shifted(shifted(whole, service="hotel/suites", weight=100), service="hotel/suites", weight=70)


def test_one_rule_moves_alone():
    moved = shifted(documents(), rule="writes", weight=100)
    assert shares(moved) == {"hotel/monolith": 100}
    assert shares(moved, "writes") == {"hotel/monolith": 0, "hotel/rooms": 100}


def test_what_is_prepared_sends_no_request_another_way():
    for move in (
        Move(route="rooms", service="hotel/rooms", weight=10),
        Move(route="rooms", service="hotel/rooms", header=("a", "b")),
    ):
        ready = moves.route_of(moves.prepared(documents(), move, SERVICES), "rooms")
        assert moves.is_as(ready, dict(moves.route_of(documents(), "rooms").body))


def test_rules_keep_their_places_and_names_beside_one_for_a_header():
    guests = shifted(documents(), route="guests", header=("X-Canary", "yes"))
    (first, canary) = moves.route_of(guests, "guests").body["spec"]["rules"]
    assert ("name" in first, canary["name"]) == (False, "0-canary")
    assert canary["matches"] == [{"path": {"value": "/v1/guests"}, "headers": [{"name": "X-Canary", "value": "yes"}]}]


def test_another_service_takes_over_the_header():
    twice = shifted(shifted(documents(), header=("a", "b")), service="hotel/suites", header=("a", "c"))
    assert shares(twice, "reads-canary") == {"hotel/rooms": 0, "hotel/suites": 100}
    assert shares(shifted(twice, weight=10)) == {"hotel/monolith": 90, "hotel/rooms": 10}


def test_the_way_back_leaves_what_came_later_without_a_request():
    before = moves.route_of(documents(), "rooms")
    after = moves.route_of(shifted(shifted(documents(), weight=30), service="hotel/suites", header=("a", "b")), "rooms")
    assert not moves.is_as(after, dict(before.body))
    back = moves.restored(after, dict(before.body))
    assert moves.is_as(back, dict(before.body))
    assert len(back.body["spec"]["rules"]) == 4


def counted(requests: int, errors: int = 0, milliseconds: float = 10) -> Counts:
    return Counts(
        requests, errors, {bound: requests if bound >= milliseconds else 0 for bound in (10, 25, 50, 100, 1000)}
    )


BAD = {
    "errors": (counted(50, 1), counted(500), "2.0% of 50 answers are errors"),
    "slow": (counted(50, milliseconds=100), counted(500, milliseconds=25), "take up to 100 ms, of the others 25 ms"),
}
GOOD = {
    "too few to tell": (counted(49, 49), counted(500)),
    "as many errors as the others": (counted(100, 10), counted(1000, 100)),
    "a single error of many": (counted(200, 1), counted(500)),
    "slower, and nobody feels it": (counted(50, milliseconds=25), counted(500, milliseconds=10)),
    "as slow as the others": (counted(50, milliseconds=1000), counted(500, milliseconds=1000)),
    "nobody to be held against": (counted(50, milliseconds=1000), Counts()),
}


@pytest.mark.parametrize("case", BAD)
def test_past_a_limit_it_is_said_which(case):
    candidate, others, said = BAD[case]
    assert said in (too_bad(candidate, others, Counts(), LIMITS) or "")


@pytest.mark.parametrize("case", GOOD)
def test_within_the_limits_nothing_is_taken_back(case):
    assert too_bad(*GOOD[case], Counts(), LIMITS) is None


def test_a_service_that_has_everything_is_held_against_what_the_others_showed_before():
    assert too_bad(counted(50, milliseconds=100), Counts(), counted(900), LIMITS) is not None


def test_counters_that_begin_anew_are_counted_from_there():
    assert counted(10, 2).since(counted(500)).requests == 10
    assert counted(500, 7).since(counted(100, 5)).errors == 2


def test_mismatches_count_from_the_move_on():
    assert too_different(Compared(1000, 900), Compared(1100, 900), LIMITS) is None
    assert too_different(Compared(1000, 0), Compared(1100, 2), LIMITS) == "2 of 100 compared answers differ"
    assert too_different(Compared(1000, 0), Compared(1049, 49), LIMITS) is None


def test_half_a_line_of_a_command_that_was_killed_hides_no_other(tmp_path: Path):
    route = moves.route_of(documents(), "rooms")
    facts = {"verb": "shift", "route": "rooms", "by": "ann", "reason": "r", "before": {}, "after": dict(route.body)}
    first = record.begin(tmp_path, **facts)
    with (tmp_path / record.FILE).open("a") as file:
        file.write('{"at": "2026-')
    record.end(tmp_path, first, "rooms", "kept")
    assert [one["event"] for one in record.lines(tmp_path)] == ["begun", "ended"]
    assert record.unfinished(tmp_path, "rooms") is None
    undo = record.to_undo(tmp_path, route)
    assert undo is not None
    assert undo.id == first

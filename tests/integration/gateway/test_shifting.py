"""A route moves under load and nobody's request fails; a service that is not well loses it again; all is on record."""

import json
import os
import signal
from collections.abc import Iterator
from datetime import datetime

import pytest

from devstack.harness.wait import wait_until
from tests.support.gateway.moving import NEW, Gateway, ended, gateway, load
from waybill.gateway import generations
from waybill.gateway.envoy import program
from waybill.gateway.moving import moves, record

WHY = ("--reason", "the rooms move out", "--by", "ann")
WATCHED = ("--watch", "30", "--least", "20")


@pytest.fixture(scope="module")
def running(tmp_path_factory) -> Iterator[Gateway]:
    with gateway(tmp_path_factory.mktemp("moving")) as made:
        yield made


@pytest.fixture
def gate(running: Gateway) -> Gateway:
    """The gateway as it began: everything goes to the monolith, no move is on record."""
    (running.folder / record.FILE).unlink(missing_ok=True)
    made = generations.publish(running.folder, generations.read(running.folder, 1), by="test", reason="anew")
    for one in running.services.values():
        one.status, one.seconds = 200, 0
    assert program.await_applied(running.admin, made.number)
    return running


def test_a_route_moves_under_load_without_a_failed_request_and_in_under_a_second(gate):
    with load(gate) as seen:
        for weight in ("10", "50", "100"):
            code, (result,), told = gate.command(
                "shift", "rooms", "--to", "hotel/rooms", "--weight", weight, "--watch", "0", *WHY
            )
            assert (code, result["result"]) == (0, "kept"), told
            assert result["in_effect_ms"] < 1_000
        before = seen.of("monolith"), seen.of("rooms")
        wait_until(lambda: seen.of("rooms") > before[1] + 100, deadline_seconds=20, what="the service answers")
        assert seen.of("monolith") <= before[0] + 4  # what was in flight
        code, (back,), told = gate.command("rollback", "rooms", *WHY)
        assert (code, back["result"]) == (0, "taken_back"), told
        assert back["in_effect_ms"] < 1_000
        wait_until(lambda: seen.of("monolith") > before[0] + 100, deadline_seconds=20, what="some come back")
    assert (seen.failures, seen.bad) == ([], {})
    assert gate.shares() == {"hotel/monolith": 50, "hotel/rooms": 50}


def test_a_service_that_the_gateway_has_not_known_before_gets_a_route_without_a_failed_request(gate):
    """Envoy takes over routes and clusters one after the other: a route in one step leads to a cluster that is not."""
    with load(gate, clients=8, pause=0) as seen:
        for number in range(NEW):
            service = f"hotel/rooms-{number}"
            code, _, told = gate.command("shift", "rooms", "--to", service, "--weight", "100", "--watch", "0", *WHY)
            assert code == 0, told
            prepared = generations.read(gate.folder, generations.current(gate.folder).replaced)
            (reads, *_) = moves.standing(moves.route_of(prepared, "rooms"))
            assert reads["services"][service] == 0
        for _ in range(NEW):
            assert gate.command("rollback", "rooms", *WHY)[0] == 0
    assert (seen.failures, seen.bad) == ([], {})
    assert gate.get() == (200, "monolith")


def test_from_the_command_to_the_first_answer_it_takes_under_a_second(gate):
    with load(gate) as seen:
        gate.command("shift", "rooms", "--to", "hotel/rooms", "--weight", "100", "--watch", "0", *WHY)
        wait_until(lambda: "rooms" in seen.first, deadline_seconds=10, what="the service answers")
    (begun,) = [line for line in record.lines(gate.folder) if line["event"] == "begun"]
    assert seen.first["rooms"] - datetime.fromisoformat(begun["at"]).timestamp() < 1


def test_a_weight_is_the_share_that_the_service_gets(gate):
    gate.command("shift", "rooms", "--to", "hotel/rooms", "--weight", "30", "--watch", "0", *WHY)
    with load(gate) as seen:
        wait_until(lambda: seen.answers.total() > 1_000, deadline_seconds=30, what="a thousand answers")
    assert 0.25 < seen.of("rooms") / seen.answers.total() < 0.35


def test_a_header_moves_its_requests_alone_and_keeps_the_rules_policies(gate):
    with load(gate) as seen:
        code, (result,), told = gate.command(
            "shift", "rooms", "--to", "hotel/rooms", "--header", "X-Canary=yes", "--watch", "0", *WHY
        )
        assert (code, result["result"]) == (0, "kept"), told
        assert gate.get(x_canary="yes") == (200, "rooms")
        assert gate.get(x_canary="yes", method="POST") == (200, "rooms")
        assert gate.get(x_canary="no") == gate.get() == (200, "monolith")
        routes = json.loads((gate.folder / "current" / "routes-http.json").read_text())["resources"][0]
        timeouts = {
            one["name"]: one["route"].get("timeout") for host in routes["virtual_hosts"] for one in host["routes"]
        }
        assert timeouts["rooms/reads-canary"] == timeouts["rooms/reads"] == "7s"
        assert gate.command("rollback", "rooms", *WHY)[0] == 0
        assert gate.get(x_canary="yes") == (200, "monolith")
    assert (seen.failures, seen.bad, seen.of("rooms")) == ([], {}, 0)


@pytest.mark.parametrize(("status", "seconds", "why"), [(503, 0, "are errors"), (200, 0.2, "95 % of answers take")])
def test_a_service_that_is_not_well_loses_the_route_by_itself(gate, status, seconds, why):
    gate.services["rooms"].status, gate.services["rooms"].seconds = status, seconds
    with load(gate) as seen:
        code, (result,), told = gate.command(
            "shift", "rooms/reads", "--to", "hotel/rooms", "--weight", "20", *WATCHED, *WHY
        )
        assert (code, result["result"]) == (1, "taken_back"), told
        assert why in result["why"]
        assert result["observed"]["requests"] >= 20
        after = seen.of("rooms")
        monolith = seen.of("monolith")
        wait_until(lambda: seen.of("monolith") > monolith + 100, deadline_seconds=20, what="the monolith answers all")
        assert seen.of("rooms") <= after + 4
    assert seen.failures == []
    assert set(seen.bad) <= {(503, "rooms")}
    assert gate.shares() == {"hotel/monolith": 100, "hotel/rooms": 0}
    ends = [line for line in record.lines(gate.folder) if line["event"] == "ended"]
    assert [(one["result"], why in one["why"]) for one in ends] == [("taken_back", True)]


def test_a_service_that_is_well_keeps_the_route(gate):
    with load(gate):
        code, (result,), told = gate.command(
            "shift", "rooms", "--to", "hotel/rooms", "--weight", "50", "--watch", "2", "--least", "20", *WHY
        )
    assert (code, result["result"]) == (0, "kept"), told
    assert result["observed"]["judged"]
    assert result["observed"]["error_ratio"] == 0
    assert gate.shares() == {"hotel/monolith": 50, "hotel/rooms": 50}


def test_what_the_shadow_program_finds_takes_a_route_back(gate, tmp_path):
    from waybill.shadow.comparison import Difference
    from waybill.shadow.findings import Findings

    findings, file = Findings(["/v1/rooms"], 5), tmp_path / "findings.json"
    findings.write(file)
    moving = gate.start(
        "shift", "rooms", "--to", "hotel/rooms", "--weight", "10", *WATCHED, "--shadow", str(file), *WHY
    )
    wait_until(lambda: gate.shares().get("hotel/rooms") == 10, deadline_seconds=20, what="the route has moved")
    for number in range(20):
        findings.judge("/v1/rooms", [Difference("$.size", "value", 1, 2)] if number < 5 else [], [])
    findings.write(file)
    code, (result,), told = ended(moving)
    assert (code, result["why"]) == (1, "5 of 20 compared answers differ"), told
    assert gate.shares() == {"hotel/monolith": 100, "hotel/rooms": 0}


def test_two_operators_do_not_move_one_route_at_once_and_may_move_two(gate):
    first = gate.start("shift", "rooms", "--to", "hotel/rooms", "--weight", "10", *WATCHED, *WHY)
    try:
        wait_until(lambda: gate.shares().get("hotel/rooms") == 10, deadline_seconds=20, what="the first has moved")
        code, rows, told = gate.command(
            "shift", "rooms", "--to", "hotel/rooms", "--weight", "20", "--reason", "r", "--by", "bob"
        )
        assert (code, rows) == (1, [])
        assert "route rooms is being moved: by ann since" in told
        assert f"process {first.pid}" in told
        assert gate.command("rollback", "rooms", *WHY)[0] == 1
        code, rows, told = gate.command("status")
        assert code == 1
        assert "being moved: by ann since" in told
        code, (other,), told = gate.command(
            "shift", "guests", "--to", "hotel/rooms", "--weight", "100", "--watch", "0", "--reason", "r", "--by", "bob"
        )
        assert (code, other["result"]) == (0, "kept"), told
    finally:
        first.send_signal(signal.SIGINT)
    code, (result,), told = ended(first)
    assert (code, result["result"]) == (130, "taken_back"), told
    # Nobody took the other route back with it.
    assert gate.shares() == {"hotel/monolith": 100, "hotel/rooms": 0}
    assert gate.shares("guests", "0") == {"hotel/monolith": 0, "hotel/rooms": 100}


def test_a_command_that_is_killed_leaves_a_route_that_works_and_that_status_explains(gate):
    with load(gate) as seen:
        moving = gate.start("shift", "rooms", "--to", "hotel/rooms", "--weight", "10", *WATCHED, *WHY)
        wait_until(lambda: seen.of("rooms") > 5, deadline_seconds=20, what="the route has moved")
        os.kill(moving.pid, signal.SIGKILL)
        ended(moving)
        code, rows, told = gate.command("status")
        assert code == 1
        assert "a shift of rooms by ann" in told
        assert "its command is gone; it is in effect, and nobody watches it: `rollback rooms`" in told
        assert [one["services"]["hotel/rooms"] for one in rows if one["route"] == "rooms"] == [10, 10]
        code, (back,), told = gate.command("rollback", "rooms", *WHY)
        assert (code, back["result"]) == (0, "taken_back"), told
        assert gate.command("status")[0] == 0
    assert (seen.failures, seen.bad) == ([], {})
    assert gate.shares() == {"hotel/monolith": 100, "hotel/rooms": 0}


@pytest.mark.parametrize("step", ["prepare", "begun", "published"])
def test_a_move_that_ends_between_two_steps_leaves_one_state_or_the_other(gate, step):
    """What stands on disk where a command is killed after each of its steps."""
    move = moves.Move(route="rooms", service="hotel/rooms", weight=10)
    documents = generations.read(gate.folder)
    ready = moves.prepared(documents, move, ["hotel/rooms"])
    after = moves.moved(ready, move)
    generations.publish(gate.folder, ready, by="ann", reason="prepare")
    if step != "prepare":
        before = moves.route_of(ready, "rooms")
        record.begin(
            gate.folder, verb="shift", route="rooms", by="ann", reason="r", before=before.body, after=after.body
        )
    if step == "published":
        generations.publish(gate.folder, moves.replaced(ready, after), by="ann", reason="r")
    wait_until(lambda: gate.command("status")[2].find("Envoy runs") < 0, deadline_seconds=10, what="Envoy follows")
    code, _, told = gate.command("status")
    expected = {
        "prepare": (0, ""),
        "begun": (1, "it is not in effect: shift again"),
        "published": (1, "it is in effect"),
    }
    assert code == expected[step][0]
    assert expected[step][1] in told
    assert gate.get()[0] == 200
    code, _, told = gate.command("rollback", "rooms", *WHY)
    assert code == (0 if step == "published" else 2), told
    assert gate.command("shift", "rooms", "--to", "hotel/rooms", "--weight", "0", "--watch", "0", *WHY)[0] == 0


MISTAKES = {
    "no such route": (("beds", "--to", "hotel/rooms", "--weight", "1"), "no route 'beds'; known are guests, rooms"),
    "no such rule": (("rooms/x", "--to", "hotel/rooms", "--weight", "1"), "no rule 'x'"),
    "no such service": (
        ("rooms", "--to", "rooms", "--weight", "1"),
        "known are hotel/monolith, hotel/nowhere, hotel/rooms, hotel/rooms-0",
    ),
    "too much": (("rooms", "--to", "hotel/rooms", "--weight", "101"), "'101' is no whole percent from 0 to 100"),
    "not a number": (("rooms", "--to", "hotel/rooms", "--weight", "ten"), "'ten' is no whole percent"),
    "no header": (("rooms", "--to", "hotel/rooms", "--header", "x"), "'x' is no NAME=VALUE of a header"),
    "neither": (("rooms", "--to", "hotel/rooms"), "one of the arguments --weight --header is required"),
    "both": (("rooms", "--to", "hotel/rooms", "--weight", "1", "--header", "a=b"), "not allowed with argument"),
    "nobody for the rest": (("rooms", "--to", "hotel/monolith", "--weight", "50"), "known are none"),
    "nobody listens": (("rooms", "--to", "hotel/nowhere", "--weight", "1"), "service hotel/nowhere does not answer"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_named_with_what_is_known_and_changes_nothing(gate, mistake):
    arguments, said = MISTAKES[mistake]
    before = generations.current(gate.folder)
    code, rows, told = gate.command("shift", *arguments, *WHY)
    assert (code, rows) == (2, []), told
    assert said in told
    assert generations.current(gate.folder) == before


def test_every_move_is_on_record_with_who_and_why(gate):
    gate.command("shift", "rooms/reads", "--to", "hotel/rooms", "--weight", "40", "--watch", "0", *WHY)
    gate.command("rollback", "rooms", "--reason", "too early", "--by", "bob")
    lines = record.lines(gate.folder)
    assert [
        (one["event"], one.get("verb"), one.get("by"), one.get("reason")) for one in lines if one["event"] == "begun"
    ] == [
        ("begun", "shift", "ann", "the rooms move out"),
        ("begun", "rollback", "bob", "too early"),
    ]
    moved = {
        one["rule"]: (one["services"], after["services"])
        for one, after in zip(lines[0]["from"], lines[0]["to"], strict=True)
    }
    assert moved["reads"] == ({"hotel/monolith": 100, "hotel/rooms": 0}, {"hotel/monolith": 60, "hotel/rooms": 40})
    assert [one["result"] for one in lines if one["event"] == "ended"] == ["kept", "kept"]
    assert (gate.folder / record.FILE).stat().st_mode & 0o077 == 0
    assert "nothing to take back" in gate.command("rollback", "rooms", *WHY)[2]


def test_a_rollback_does_not_undo_what_others_did_to_the_documents(gate):
    gate.command("shift", "rooms", "--to", "hotel/rooms", "--weight", "40", "--watch", "0", *WHY)
    generations.publish(gate.folder, generations.read(gate.folder, 1), by="deploy", reason="new documents")
    code, _, told = gate.command("rollback", "rooms", *WHY)
    assert code == 2
    assert "was changed since ann moved it" in told

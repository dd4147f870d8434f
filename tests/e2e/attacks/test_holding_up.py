"""Nobody can hold up others by being slow, by saying nothing, or by coming in numbers."""

import socket
import time
from contextlib import suppress

import pytest

from devstack.harness.wait import wait_until
from tests.support.attacker import Attacker, answer
from tests.support.programs import Program
from waybill.rest.serving.connections import HEAD_SECONDS

SHARE = 0.9  # of what others get answered when nobody attacks
LISTING = 2_000


def others_go_on(attacker: Attacker, before: float) -> None:
    """Wait until others get as much as before for a second, while the attack lasts: the machine has other work too."""
    enough = SHARE * before
    wait_until(
        lambda: attacker.goodput() >= enough, deadline_seconds=HEAD_SECONDS - 2, what=f"{enough:.0f} answers a second"
    )


@pytest.fixture(scope="module")
def before(attacker: Attacker) -> float:
    attacker.goodput()  # connections of its threads to the database
    return min(attacker.goodput() for _ in range(3))


HELD = {
    "slow bodies": (500, "POST", {"content_length": "40"}, b"{"),
    "chunks that never end": (500, "POST", {"transfer_encoding": "chunked"}, b"1\r\n{\r\n"),
    "slow heads": (500, None, {}, b"POST /v1/orders HTTP/1.1\r\nHost: a\r\nX-"),
    "idle connections": (500, None, {}, b""),
}


@pytest.mark.parametrize("held", HELD)
def test_500_connections_that_hold_on_take_nothing_from_others(attacker: Attacker, before: float, held: str) -> None:
    number, method, headers, last = HELD[held]
    first = attacker.head(method, idempotency_key="x", content_type="application/json", **headers) if method else b""
    with attacker.holding(number, first + last):
        assert attacker.program.unready() is None
        others_go_on(attacker, before)


def test_clients_that_do_not_read_take_nothing_from_others(attacker: Attacker, before: float) -> None:
    with attacker.holding(100, attacker.head(path="/static/ninja/swagger-ui-bundle.js")):  # more than a socket takes
        others_go_on(attacker, before)


def test_a_body_that_is_late_gets_408_and_the_connections_end(attacker: Attacker) -> None:
    """All deadlines at once, since each takes its time; a head that drips is late all the same."""
    with (
        attacker.holding(1, attacker.head("POST", content_length="40") + b"{") as bodies,
        attacker.holding(1, b"GET / HTTP/1.1\r\n") as heads,
        attacker.holding(1) as silent,
    ):
        began = time.monotonic()
        for _ in range(6):
            time.sleep(1)  # this client is slow, not the test: it sends another header every second
            heads[0].sendall(b"X: y\r\n")
        answer(heads[0]).assert_problem(408, "timed_out")
        assert silent[0].recv(1) == b""
        assert time.monotonic() - began < 15
        refused = answer(bodies[0])
        refused.assert_problem(408, "timed_out")
        assert refused.headers["connection"] == "close"
        assert time.monotonic() - began < 25


def test_two_thousand_requests_on_one_connection_are_not_kept(attacker: Attacker) -> None:
    with socket.create_connection(attacker.address, 10) as connection:
        connection.sendall(attacker.head() * LISTING)
        with suppress(ConnectionResetError):
            assert answer(connection).status in {0, 200, 400}


def test_a_burst_is_answered_or_refused_at_once_and_never_left_waiting(attacker: Attacker, web: Program) -> None:
    with attacker.holding(300, attacker.head(path="/v1/orders?limit=1")) as burst:
        began = time.monotonic()
        answers = [answer(one) for one in burst]
    assert time.monotonic() - began < 10
    refused = [one for one in answers if one.status != 200]
    assert len(refused) < 300
    for one in refused:
        one.assert_problem(503, "overloaded")
        assert one.headers["retry-after"] == "1"
    wait_until(lambda: web.order()[0] == 202, deadline_seconds=5, what="an order")

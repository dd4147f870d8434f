"""The gate through the real Envoy: rows change hands under load, and no request fails or comes to the wrong side."""

from collections.abc import Iterator

import psycopg
import pytest

from tests.support.gateway.handing_over import (
    DOCUMENTS,
    GATEWAY,
    HELD,
    HOLD_SECONDS,
    LEFT,
    PLAIN,
    Clients,
    Scene,
    ask,
    scene,
)
from waybill.gateway import generations
from waybill.gateway.documents.document import parse
from waybill.gateway.envoy.program import await_applied
from waybill.gateway.moving import status
from waybill.gateway.moving.in_flight import in_flight
from waybill.gateway.moving.moves import NotPossible
from waybill.gateway.moving.watching import NotWatchable

HANDOVERS = 20


@pytest.fixture(scope="module")
def handing(migrated, tmp_path_factory) -> Iterator[Scene]:
    name = "moving_behind_a_gate"
    migrated.server.execute(f"CREATE DATABASE {name} TEMPLATE {migrated.name}")
    with migrated.another(name) as shop, scene(tmp_path_factory.mktemp("gate") / "home", shop) as made:
        yield made


@pytest.fixture
def row(handing: Scene) -> Iterator[psycopg.Connection]:
    with handing.row() as session:
        yield session
        session.execute(LEFT)


def nothing_went_wrong(handing: Scene, clients: Clients) -> None:
    assert clients.failed == []
    assert handing.record.wrong == []


def test_rows_change_hands_over_and_back_and_no_request_fails_or_comes_to_the_wrong_side(handing, row):
    written = handing.record.written.copy()
    with Clients(handing.address) as clients:
        for _ in range(HANDOVERS):
            handing.hand_over(row)
            clients.await_more(20)
    nothing_went_wrong(handing, clients)
    assert clients.disconnected == []
    assert clients.longest["POST"] < HOLD_SECONDS
    gained = handing.record.written - written
    assert gained["here"] > HANDOVERS
    assert gained["there"] > HANDOVERS
    assert row.execute("SELECT is_owner FROM waybill_ownership").fetchone() == (True,)


def test_while_writes_are_held_reads_are_answered_at_once(handing, row):
    row.execute(HELD, [0.6])
    read = ask(handing.address, "GET")
    written = ask(handing.address, "POST")
    assert (read.status, written.status) == (200, 200)
    assert read.seconds < 0.4
    assert 0.2 < written.seconds < 3


def test_the_gate_is_put_before_a_route_and_taken_away_while_it_is_used(handing, row):
    folder, admin = handing.gateway.folder, handing.gateway.site.admin
    with Clients(handing.address) as clients:
        handing.record.is_asked = False
        for _ in range(3):
            for text in (f"{GATEWAY}---{PLAIN}", DOCUMENTS):
                made = generations.publish(folder, parse({"all.yaml": text}), by="test", reason="step by step")
                assert await_applied(admin, made.number)
                assert status.running(folder) == (str(made.number), str(made.number))
                clients.await_more(50)
        clients.await_more(50)  # each connection that was there has had its last answer
        handing.record.is_asked = True
        handing.hand_over(row)
        clients.await_more(20)
        handing.hand_over(row)
    nothing_went_wrong(handing, clients)
    assert clients.disconnected == []


def test_a_gate_that_goes_costs_no_request_where_another_one_listens_and_without_any_nobody_is_let_through(
    handing, row
):
    gates = handing.gates
    with Clients(handing.address) as clients:
        row.execute(HELD, [0.5])  # some wait at the one that is killed
        clients.await_more(4)
        gates.kill(0)
        clients.await_more(150)
        gates.start(0)
        gates.await_ready(0)
        row.execute(HELD, [0.5])  # and at the one that is told to stop, which answers them
        clients.await_more(4)
        gates.programs[1].terminate()
        assert gates.programs[1].wait(15) == 0
        clients.await_more(150)
    nothing_went_wrong(handing, clients)
    assert clients.disconnected == []
    gates.kill(0)
    written = handing.record.written.copy()
    refused = ask(handing.address, "POST")
    for number in (0, 1):
        gates.start(number)
    for number in (0, 1):
        gates.await_ready(number)
    assert (refused.status, refused.headers["content-type"]) == (503, "application/problem+json")
    assert refused.headers["retry-after"] == "1"
    assert handing.record.written == written


def test_a_gateway_that_is_started_anew_costs_connections_and_nothing_else(handing, row):
    with Clients(handing.address, pause=0.002) as clients:
        handing.gateway.stop()
        with pytest.raises(NotWatchable, match="Envoy does not answer"):
            in_flight(handing.gateway.folder, "orders")
        handing.gateway.start()
        handing.hand_over(row)
        clients.await_more(40)
        handing.hand_over(row)
    nothing_went_wrong(handing, clients)
    assert clients.disconnected


def test_a_restart_of_the_database_is_waited_for(handing):
    with Clients(handing.address, clients=4) as clients:
        handing.shop.server.restart()
        clients.await_more(40)
    nothing_went_wrong(handing, clients)


def test_what_is_under_way_is_counted_and_what_is_not_there_is_named(handing, row):
    folder = handing.gateway.folder
    assert in_flight(folder, "orders/there") == 0
    with pytest.raises(NotPossible, match="known are here, there"):
        in_flight(folder, "orders/elsewhere")
    with pytest.raises(NotPossible, match="there is no route 'order'"):
        in_flight(folder, "order")

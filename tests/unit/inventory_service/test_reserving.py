from dataclasses import replace
from uuid import UUID

import pytest

from inventory_service.domain import (
    CommitStock,
    Product,
    ReleaseStock,
    Reservation,
    ReservationStatus,
    ReserveStock,
    Stock,
    decide,
    evolve,
)
from schemas.events import (
    ProductDelisted,
    ProductListed,
    Shortage,
    StockCommitted,
    StockLine,
    StockReceived,
    StockRejected,
    StockReleased,
    StockReserved,
)
from waybill.deciders.outcomes import Code, Ignored, Refused
from waybill.testing import Scenario

ID = UUID(int=1)
LAMPS, DESK = StockLine(sku="LAMP", quantity=2), StockLine(sku="DESK", quantity=1)
LINES = (LAMPS, DESK)
RESERVE = ReserveStock(order_id=ID, lines=LINES)
RELEASE = ReleaseStock(order_id=ID, lines=LINES)
COMMIT = CommitStock(order_id=ID, lines=LINES)
HELD = StockReserved(order_id=ID, lines=LINES)


def listed(sku, units):
    return (
        ProductListed(sku=sku, name=sku.title(), unit_price=100, currency="EUR"),
        StockReceived(sku=sku, quantity=units, reason="delivery"),
    )


unstocked = Scenario(
    decide,
    evolve,
    Stock(reservation=Reservation(order_id=ID), products={"LAMP": Product(sku="LAMP"), "DESK": Product(sku="DESK")}),
)
stock = unstocked.given(*listed("LAMP", 2), *listed("DESK", 1))


@pytest.mark.parametrize("command", [COMMIT, RELEASE])
def test_what_names_other_products_than_are_held_is_refused(command):
    reservation = Reservation(order_id=ID, status=ReservationStatus.RESERVED, lines=LINES)
    named = Stock(reservation=reservation, products={"LAMP": Product(sku="LAMP", on_hand=2, reserved=2)})
    outcome = decide(replace(command, lines=(LAMPS,)), named)
    assert isinstance(outcome, Refused)
    assert (outcome.code, "DESK" in outcome.detail) == (Code.CONFLICT, True)


def test_every_line_is_held_or_none():
    stock.when(RESERVE).then(HELD)
    unstocked.given(*listed("LAMP", 1), *listed("DESK", 1)).when(RESERVE).then(
        StockRejected(order_id=ID, shortages=(Shortage(sku="LAMP", requested=2, available=1, on_hand=1),))
    )


def test_what_is_held_for_one_order_is_not_free_for_another():
    after = stock.given(HELD)
    assert {sku: (p.on_hand, p.reserved, p.free) for sku, p in after.state.products.items()} == {
        "LAMP": (2, 2, 0),
        "DESK": (1, 1, 0),
    }


def test_what_others_hold_is_told_apart_from_what_is_not_there():
    held = stock.given(HELD, StockReceived(sku="LAMP", quantity=1, reason="delivery"))
    short = decide(ReserveStock(order_id=UUID(int=2), lines=(LAMPS,)), replace(held.state, reservation=None))
    assert short == [
        StockRejected(order_id=UUID(int=2), shortages=(Shortage(sku="LAMP", requested=2, available=1, on_hand=3),))
    ]


def test_a_product_that_is_not_for_sale_is_short():
    stock.given(ProductDelisted(sku="DESK")).when(RESERVE).then(
        StockRejected(order_id=ID, shortages=(Shortage(sku="DESK", requested=1, available=0, on_hand=1),))
    )


def test_a_confirmed_order_takes_its_goods_out_of_the_stock():
    stock.given(HELD).when(COMMIT).then(StockCommitted(order_id=ID, lines=LINES))
    after = stock.given(HELD, StockCommitted(order_id=ID, lines=LINES))
    assert [(p.on_hand, p.reserved) for p in after.state.products.values()] == [(0, 0), (0, 0)]


def test_a_cancelled_order_gives_back_what_it_held():
    released = StockReleased(order_id=ID, lines=LINES)
    stock.given(HELD).when(RELEASE).then(released)
    assert [p.free for p in stock.given(HELD, released).state.products.values()] == [2, 1]


def test_a_cancellation_that_came_first_leaves_nothing_reserved():
    nothing = StockReleased(order_id=ID, lines=())
    stock.when(RELEASE).then(nothing)
    stock.given(nothing).when(RESERVE).then(Ignored)


def test_a_rejected_reservation_answers_the_release_too():
    rejected = StockRejected(order_id=ID, shortages=())
    stock.given(rejected).when(RELEASE).then(StockReleased(order_id=ID, lines=()))


@pytest.mark.parametrize("command", [RESERVE, COMMIT])
def test_the_same_message_twice_moves_the_stock_once(command):
    committed = (StockCommitted(order_id=ID, lines=LINES),) if command is COMMIT else ()
    stock.given(HELD, *committed).when(command).then(Ignored)


def test_goods_that_were_never_held_cannot_be_committed():
    stock.when(COMMIT).then("conflict")
    stock.given(HELD, StockCommitted(order_id=ID, lines=LINES)).when(RELEASE).then("conflict")

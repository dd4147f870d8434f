"""Orders, and one of them: what they wait for, their whole story, and pages by cursor that miss none."""

import re
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from order_service.service import service as orders
from schemas.events import NotificationSent, OrderImportErased
from tests.support.console import confirmed, note, shows
from tests.support.databases import in_use
from tests.support.orders import imported, place, placed
from tests.support.webhooks import told_at_webhooks, tried_three_times
from waybill.deciders.unit_of_work import handle

START = datetime(2026, 1, 1, tzinfo=UTC)


def many(count: int) -> list[UUID]:
    """Orders that wait since one minute each after the other."""
    ids = [uuid4() for _ in range(count)]
    for number, order_id in enumerate(ids):
        note([(placed(order_id), 1)], START + timedelta(minutes=number))
    return ids


def listed(page: str) -> list[UUID]:
    return [UUID(one) for one in re.findall(r'<a class="id" href="/orders/([0-9a-f-]{36})"', page)]


def through(console, address: str) -> list[UUID]:
    """Every order of every page, by the links that the pages have."""
    found: list[UUID] = []
    while address:
        text = console.get(address).content.decode()
        found += listed(text)
        following = re.search(r'href="(\?[^"]+)" rel="next"', text)
        address = f"/orders{following[1].replace('&amp;', '&')}" if following else ""
    return found


def test_the_newest_stand_first_and_pages_miss_none_and_repeat_none(console, services):
    ids = many(120)
    assert through(console, "/orders") == ids[::-1]


def test_those_that_wait_stand_longest_first(console, services):
    ids = many(60)
    note(confirmed(uuid4()))
    assert through(console, "/orders?open=1") == ids
    assert through(console, "/orders?older=60") == ids


def test_an_order_of_the_webshop_stands_where_it_was_placed_and_is_none_that_waits(console, services):
    (own,) = many(1)
    theirs = uuid4()
    note([(imported(theirs), 1), (imported(theirs, status="CONFIRMED", total=5000, version=2), 2)], START)
    assert through(console, "/orders") == [own, theirs]
    assert through(console, "/orders?open=1") == [own]
    assert through(console, "/orders?step=IMPORTED") == [theirs]
    page = console.get(f"/orders/{theirs}").content.decode()
    assert "2025-03-01 10:00" in page
    assert "50.00" in page or "5000" in page
    note([(OrderImportErased(order_id=theirs, source_version=3), 3)], START)
    assert through(console, "/orders?step=IMPORTED") == []


def test_orders_of_one_moment_are_all_there(console, services):
    ids = {uuid4() for _ in range(110)}
    for order_id in ids:
        note([(placed(order_id), 1)], START)
    for address in ("/orders", "/orders?open=1"):
        assert sorted(through(console, address)) == sorted(ids)


def test_filters_stand_in_the_address(console, services):
    (waits,) = many(1)
    ended = uuid4()
    note(confirmed(ended), START)
    assert listed(console.get("/orders?step=CONFIRMED").content.decode()) == [ended]
    assert listed(console.get(f"/orders?order={waits}").content.decode()) == [waits]
    assert listed(console.get("/orders?customer=bob").content.decode()) == []
    assert sorted(listed(console.get("/orders?customer=ann").content.decode())) == sorted([waits, ended])
    assert b"No order fits" in console.get("/orders?order=nonsense").content


@pytest.mark.parametrize("cursor", ["x", "W10=", "WyJhIiwiYiJd", "eyJhIjoxfQ=="])
def test_a_cursor_that_is_none_is_the_first_page(console, services, cursor):
    (order_id,) = many(1)
    assert listed(console.get(f"/orders?after={cursor}").content.decode()) == [order_id]


def test_the_list_says_of_each_that_waits_what_keeps_it(console, services):
    waits, ended = uuid4(), uuid4()
    with in_use(services["order"].service_url):
        handle(orders, [place(waits)])
    note([(placed(waits), 1)])
    note(confirmed(ended))
    text = console.get("/orders").content.decode()
    lines = dict(
        re.findall(
            r'<a class="id" href="/orders/([0-9a-f-]{36})".*?<td>[A-Z]+</td>\s*<td>.*?</td><td>(.*?)</td>',
            text,
            re.DOTALL,
        )
    )
    assert "relay" in lines[str(waits)]
    assert lines[str(ended)] == ""


def test_one_order_tells_its_whole_story(console, services):
    order_id = uuid4()
    told = NotificationSent(order_id=order_id, kind="order_confirmed", channel="mail")
    note([*confirmed(order_id), (told, 1)])
    text = console.get(f"/orders/{order_id}").content.decode()
    for said in (
        "OrderPlaced",
        "StockCommitted",
        "order.events.v1/0/",
        "charge_id ch_1",
        "kind order_confirmed",
        "c-1",
    ):
        assert said in text
    assert text.count("<svg") == 2
    assert text.count("<circle") == 2 * 8
    assert "<strong>CONFIRMED</strong>" in text


def test_what_comes_from_a_topic_is_shown_as_text_alone(console, services):
    order_id = uuid4()
    told = NotificationSent(order_id=order_id, kind="<script>alert(1)</script>", channel="mail")
    note([(placed(order_id), 1), (told, 1)])
    text = console.get(f"/orders/{order_id}").content.decode()
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert" in text


def test_an_order_that_nobody_knows_says_when_it_would_be_here(console, services):
    response = console.get(f"/orders/{uuid4()}")
    assert response.status_code == 404
    assert b"no event of order" in response.content


def test_a_page_of_orders_is_a_few_statements_however_many_there_are(console, services):
    many(60)
    with CaptureQueriesContext(connection) as asked:
        console.get("/orders")
    assert len(asked) <= 3, [one["sql"] for one in asked]


def test_an_order_that_waits_says_what_keeps_it_and_which_steps_remain(console, services):
    order_id = uuid4()
    with in_use(services["order"].service_url):
        handle(orders, [place(order_id)])
    note([(placed(order_id), 1)])
    text = console.get(f"/orders/{order_id}").content.decode()
    assert "What keeps it" in text
    assert "outbox " in text  # the next command
    assert "Steps that remain" in text
    assert "ReserveStock" in text


def test_what_an_order_led_to_stands_on_its_page_with_attempts_and_what_comes_next(
    console, services, kept, monkeypatch
):
    order_id = uuid4()
    with in_use(services["order"].service_url):
        handle(orders, [place(order_id)])
    note([(placed(order_id), 1)])
    with kept.fresh("notification_service") as notification:
        ((tried, _), (waits, _)) = told_at_webhooks(notification, order_id, 2)
        tried_three_times(notification, tried)
        shows(monkeypatch, {"order": services["order"].service_url, "notification": notification.service_url})
        text = console.get(f"/orders/{order_id}").content.decode()
        lines = dict(re.findall(r'<th scope="row">delivery</th><td class="id">([^<]+)</td>(.*?)</tr>', text))
        assert set(lines) == {str(tried), str(waits)}
        for said in (">3<", "the last attempt: status_500", "2026-05-04", f"?service=notification&amp;key={tried}"):
            assert said in lines[str(tried)]
        assert ">0<" in lines[str(waits)]


def test_those_that_are_late_have_been_in_their_step_for_longer_than_is_usual(console, services):
    now = datetime.now(tz=UTC)
    late, early = uuid4(), uuid4()
    note([(placed(late), 1)], now - timedelta(seconds=65))
    note([(placed(early), 1)], now - timedelta(seconds=20))
    note(confirmed(uuid4()), now - timedelta(hours=1))
    assert listed(console.get("/orders?late=1").content.decode()) == [late]

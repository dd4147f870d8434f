"""The gate on a real row: what it answers, how long it waits, and how much."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import psutil
import pytest

from tests.support.gateway.handing_over import BEGIN, HELD, LEAVES, LEFT, TAKES
from waybill.migrate.gate import rows as reading
from waybill.migrate.gate.answering import Gate
from waybill.migrate.gate.rows import MOST_WAITING, Rows

SECONDS = 20.0


class Asker:
    """Asks as the gateway does, and hangs up when it is told to."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    async def __call__(self, method: str, path: str = "/order/orders/1", gone: asyncio.Event | None = None) -> Any:
        """Return status, headers and body; None where it hung up."""
        sent: list[dict[str, Any]] = []
        messages = iter([{"type": "http.request", "body": b"", "more_body": False}])

        async def receive() -> dict[str, Any]:
            for message in messages:
                return message
            await (gone or asyncio.Event()).wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)

        await self._gate({"type": "http", "method": method, "path": path}, receive, send)
        if not sent:
            return None
        headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
        return sent[0]["status"], headers, sent[1]["body"]


@asynccontextmanager
async def gate(shop: Any, seconds: float = SECONDS) -> AsyncIterator[tuple[Asker, Rows]]:
    rows = Rows(shop.url, ["order"])
    running = asyncio.create_task(rows.run())
    try:
        yield Asker(Gate(rows, ["order"], seconds)), rows
    finally:
        running.cancel()
        await asyncio.wait((running,))


def run(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a test's work; what no longer comes to an end fails."""

    async def within() -> None:
        async with asyncio.timeout(60):
            await work()

    asyncio.run(within())


def owner(answer: Any) -> str:
    status, headers, body = answer
    assert (status, body) == (200, b"")
    return headers["x-waybill-owner"]


def test_without_a_row_this_side_owns_and_with_one_each_answer_is_of_a_row_read_after_the_question(shop):
    async def work() -> None:
        async with gate(shop) as (ask, _):
            assert owner(await ask("POST")) == "here"
            shop.execute(BEGIN)
            for statement, expected in 20 * ((f"{LEAVES}, held_until = NULL", "there"), (TAKES, "here")):
                shop.execute(statement)
                shop.execute("UPDATE waybill_ownership SET leaving = false")
                assert {owner(await ask(method)) for method in ("GET", "POST")} == {expected}

    run(work)


def test_as_many_as_may_wait_do_and_one_more_is_refused_and_reads_are_answered_all_the_while(shop):
    async def work() -> None:
        async with gate(shop) as (ask, _):
            shop.execute(BEGIN)
            shop.execute(HELD, 60)
            gone = asyncio.Event()
            leaver = asyncio.create_task(ask("POST", gone=gone))
            waiting = [asyncio.create_task(ask("POST")) for _ in range(MOST_WAITING - 1)]
            await asyncio.sleep(0)
            begun = asyncio.get_running_loop().time()
            reads = Counter([owner(await ask("GET")) for _ in range(50)])
            took = asyncio.get_running_loop().time() - begun
            status, headers, body = await ask("POST")
            gone.set()
            assert await leaver is None  # and leaves its place
            last = asyncio.create_task(ask("DELETE"))
            await ask("GET")
            assert not last.done()
            assert not any(one.done() for one in waiting)
            shop.execute(LEFT)
            released = Counter([owner(one) for one in await asyncio.gather(*waiting, last)])
        assert reads == {"here": 50}
        assert took < 5
        assert (status, headers["retry-after"], json.loads(body)["code"]) == (503, "1", "overloaded")
        assert released == {"here": MOST_WAITING}

    run(work)


def test_who_has_waited_for_long_enough_is_told_when_to_come_again(shop):
    async def work() -> None:
        shop.execute(BEGIN)
        shop.execute(HELD, 60)
        async with gate(shop, seconds=0.3) as (ask, _):
            status, headers, body = await ask("PUT")
            assert owner(await ask("HEAD")) == "here"
        assert (status, headers["retry-after"]) == (503, "1")
        assert json.loads(body)["code"] == "overloaded"
        assert headers["content-type"] == "application/problem+json"

    run(work)


def test_a_hold_that_nobody_ends_lapses(shop):
    async def work() -> None:
        shop.execute(BEGIN)
        shop.execute(HELD, 0.3)
        async with gate(shop) as (ask, _):
            assert owner(await ask("POST")) == "here"

    run(work)


def test_while_the_database_is_away_everybody_waits_and_then_is_told_so(shop):
    async def work() -> None:
        async with gate(shop, seconds=0.5) as (ask, rows):
            assert owner(await ask("GET")) == "here"
            assert rows.reason is None
            await asyncio.to_thread(shop.server.stop)
            status, headers, body = await ask("GET")
            reason = rows.reason
            await asyncio.to_thread(shop.server.start)
        async with gate(shop) as (ask, _):
            assert owner(await ask("POST")) == "here"
        assert (status, headers["retry-after"]) == (503, "1")
        assert json.loads(body)["code"] == "database_unavailable"
        assert reason
        assert reason.startswith("database: ")

    run(work)


def test_a_database_that_says_nothing_is_left_alone_and_another_connection_is_tried(shop, monkeypatch):
    monkeypatch.setattr(reading, "ANSWER_SECONDS", 0.3)

    async def work() -> None:
        async with gate(shop) as (ask, _):
            assert owner(await ask("GET")) == "here"
            ((pid,),) = shop.execute("SELECT pid FROM pg_stat_activity WHERE application_name = 'waybill gate'")
            session = psutil.Process(pid)
            session.suspend()
            try:
                assert owner(await ask("POST")) == "here"
            finally:
                session.resume()

    run(work)


@pytest.mark.parametrize("path", ["/", "/orders", "/ordersx/1"])
def test_what_is_no_aggregate_is_a_defect_of_the_policy_and_goes_nowhere(shop, path):
    async def work() -> None:
        async with gate(shop) as (ask, _):
            status, _, body = await ask("GET", path)
        assert status == 500
        assert "order" in json.loads(body)["detail"]

    run(work)

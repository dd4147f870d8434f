"""One service of the running stack is released to other code and taken back, while orders are placed."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2 as httpx
import psutil

from devstack.folder import CHECKOUT
from devstack.harness.stack import Stack
from tests.release import versions
from tests.release.shop import release
from tests.support.audit import until_they_agree
from tests.support.shop import Shop, key

PAUSE_SECONDS = 0.1


@contextmanager
def asked_all_the_time(stack: Stack, sku: str) -> Iterator[tuple[list[str], list[str]]]:
    """Place orders, each second one on a connection of its own, and tell whose answer was 202 and what else came."""
    placed, failed = [], []
    stop = threading.Event()

    def place() -> None:
        body = {"lines": [{"sku": sku, "quantity": 1}], "payment_method": "tok_ok"}
        with stack.client("order") as kept:
            while not stop.wait(PAUSE_SECONDS):
                try:
                    with stack.client("order") as fresh:
                        answers = [client.post("/v1/orders", json=body, headers=key()) for client in (kept, fresh)]
                except httpx.TransportError as error:
                    failed.append(repr(error))
                    continue
                for answer in answers:
                    placed.append(answer.text) if answer.status_code == 202 else failed.append(answer.text)

    thread = threading.Thread(target=place)
    thread.start()
    try:
        yield placed, failed
    finally:
        stop.set()
        thread.join()


def folder(stack: Stack, program: str) -> Path:
    return Path(psutil.Process(stack.pid(program)).cwd())


def test_a_release_that_is_taken_back_in_the_middle_costs_no_request_and_no_order(
    stack: Stack, shop: Shop, tmp_path: Path
):
    version = versions.copied(tmp_path, "order")
    with (tmp_path / "order_service" / "api.py").open("a") as file:
        file.write("\n# another version\n")
    with asked_all_the_time(stack, shop.product(10_000)) as (placed, failed):
        forward = release(stack, "order", "--source", str(version.folder), "--until", "web", "--steady", "0.3")
        assert forward.code == 0, forward.said
        new = folder(stack, "order.web")
        beside = (len(placed), folder(stack, "order.consumer"))
        early = release(stack, "order", "--contract")
        back = release(stack, "order", "--roll-back", "--steady", "0.3")
    assert back.code == 0, back.said
    assert new.parent == stack.home / "releases"
    assert beside[0] > 0
    assert beside[1] == folder(stack, "order.web") == CHECKOUT
    assert early.code == 1
    assert "order.consumer, order.worker, order.relay: other code than" in early.said
    assert failed == []
    assert len(placed) > beside[0]
    assert "order.web.next" not in stack.state["processes"]
    assert stack.state["releases"]["order"]["under_way"] is False
    until_they_agree(stack)

"""A steady stream of orders, as clients place them: tried again with the same key until it is answered."""

import itertools
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx2 as httpx
from tenacity import Retrying, retry_if_exception_type, retry_if_result, stop_after_delay, wait_fixed

from devstack.harness.stack import Stack

METHODS = ("tok_ok", "tok_ok", "tok_ok", "tok_declined", "tok_error_then_ok")
PAUSE_SECONDS = 0.05
ANSWER_SECONDS = 90


@dataclass
class Load:
    """What was placed, and every answer that a client should never see."""

    placed: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


@contextmanager
def orders_flowing(stack: Stack, sku: str) -> Iterator[Load]:
    """Place orders, one every 50 ms, until the block ends."""
    load, stop = Load(), threading.Event()
    thread = threading.Thread(target=_place, args=(stack, sku, load, stop))
    thread.start()
    try:
        yield load
    finally:
        stop.set()
        thread.join()


def _place(stack: Stack, sku: str, load: Load, stop: threading.Event) -> None:
    with stack.client("order") as client:
        for method in itertools.cycle(METHODS):
            if stop.wait(PAUSE_SECONDS):
                return
            body = {"lines": [{"sku": sku, "quantity": 1}], "payment_method": method}
            headers = {"Idempotency-Key": str(uuid.uuid4())}
            answer = Retrying(
                retry=retry_if_exception_type(httpx.TransportError)
                | retry_if_result(lambda a: a.status_code in {409, 503}),
                stop=stop_after_delay(ANSWER_SECONDS),
                wait=wait_fixed(0.1),
            )(client.post, "/v1/orders", json=body, headers=headers)
            if answer.status_code == 202:
                load.placed.append(answer.json()["id"])
            else:
                load.wrong.append(f"{answer.status_code} {answer.text}")

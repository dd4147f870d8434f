"""HTTP requests at a rate that waits for nobody, or by so many clients that do: a program beside the server.

Each request is a client of its own, with a connection of its own, as where many people come at once. Half of them
place an order and half read a list. Its time runs from when it was due, not from when it was sent: a load generator
that falls behind cannot make the server look faster.
"""

import argparse
import asyncio
import json
import statistics
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import uvloop

GIVE_UP_SECONDS: Final = 20.0
NO_ANSWER: Final = 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one request ended; status 0 where no answer came."""

    status: int
    seconds: float


class Exchange(asyncio.Protocol):
    """One request on one connection."""

    def __init__(self, request: bytes, status: asyncio.Future[int]) -> None:
        self._request, self._status = request, status
        self._first = b""

    def connection_made(self, transport: Any) -> None:
        """Ask."""
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        """Keep the status line; the server ends the connection after the body."""
        self._first = self._first or data[:12]

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell what came."""
        if not self._status.done():
            code = self._first[9:12]
            self._status.set_result(int(code) if exc is None and code.isdigit() else NO_ANSWER)


@dataclass(slots=True)
class Load:
    """What is asked of whom, and what came of it."""

    port: int
    tokens: Sequence[str]
    asked: int = 0
    outcomes: list[Outcome] = field(default_factory=list[Outcome])

    def request(self) -> bytes:
        """Return the next request."""
        self.asked += 1
        token = self.tokens[self.asked // 2 % len(self.tokens)]
        head = f"Host: 127.0.0.1\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n"
        if self.asked % 2:
            return f"GET /v1/orders?limit=1 HTTP/1.1\r\n{head}\r\n".encode()
        body = json.dumps({"lines": [{"sku": "LAMP-01", "quantity": 1}], "payment_method": "tok_ok"})
        return (
            f"POST /v1/orders HTTP/1.1\r\n{head}Content-Type: application/json\r\nIdempotency-Key: {uuid.uuid4()}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n{body}"
        ).encode()

    async def ask(self, due: float) -> None:
        """Make one request and keep how it ended."""
        loop = asyncio.get_running_loop()
        status: asyncio.Future[int] = loop.create_future()
        request, transport = self.request(), None
        try:
            async with asyncio.timeout(GIVE_UP_SECONDS):
                transport, _ = await loop.create_connection(lambda: Exchange(request, status), "127.0.0.1", self.port)
                code = await status
        except (OSError, TimeoutError):
            code = NO_ANSWER
        finally:
            if transport is not None:
                transport.abort()
        self.outcomes.append(Outcome(code, time.perf_counter() - due))


async def closed(load: Load, clients: int, seconds: float) -> None:
    """Let each client ask again once it has its answer."""
    end = time.perf_counter() + seconds

    async def client() -> None:
        while (now := time.perf_counter()) < end:
            await load.ask(now)

    await asyncio.gather(*(client() for _ in range(clients)))


async def opened(load: Load, rate: float, seconds: float) -> None:
    """Ask at fixed times, whatever becomes of the requests before."""
    begin, asking = time.perf_counter(), set[asyncio.Task[None]]()
    for number in range(int(rate * seconds)):
        due = begin + number / rate
        if (wait := due - time.perf_counter()) > 0:
            await asyncio.sleep(wait)  # the rate is the load's own
        task = asyncio.create_task(load.ask(due))
        asking.add(task)
        task.add_done_callback(asking.discard)
    await asyncio.gather(*asking)


def summary(outcomes: Sequence[Outcome], seconds: float) -> dict[str, Any]:
    """Return rates and times of what was accepted, and how many were refused or got no answer."""
    accepted = sorted(one.seconds for one in outcomes if one.status in {200, 202})
    refusals = sorted(one.seconds for one in outcomes if one.status == 503)
    return {
        "asked": len(outcomes),
        "accepted_per_s": round(len(accepted) / seconds, 1),
        **{f"accepted_{name}": value for name, value in _times(accepted).items()},
        "refused": len(refusals),
        **{f"refused_{name}": value for name, value in _times(refusals).items()},
        "unanswered": sum(one.status == NO_ANSWER for one in outcomes),
        "other": sorted({one.status for one in outcomes} - {200, 202, 503, NO_ANSWER}),
    }


def _times(ordered: Sequence[float]) -> dict[str, float | None]:
    if len(ordered) < 2:
        return {"p50_ms": None, "p99_ms": None}
    cuts = statistics.quantiles(ordered, n=100, method="inclusive")
    return {"p50_ms": round(cuts[49] * 1e3, 1), "p99_ms": round(cuts[98] * 1e3, 1)}


def main() -> None:
    """Make the load, and print what came of it as one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=["closed", "open"])
    parser.add_argument("port", type=int)
    parser.add_argument("much", type=float, help="clients of a closed load, requests a second of an open one")
    parser.add_argument("seconds", type=float)
    given = parser.parse_args()
    load = Load(given.port, input().split())
    run: Callable[[], Awaitable[None]] = (
        (lambda: closed(load, int(given.much), given.seconds))
        if given.kind == "closed"
        else (lambda: opened(load, given.much, given.seconds))
    )

    async def to_the_end() -> float:
        began = time.perf_counter()
        await run()
        return time.perf_counter() - began

    taken = uvloop.run(to_the_end())
    print(json.dumps(summary(load.outcomes, taken)))


if __name__ == "__main__":
    main()

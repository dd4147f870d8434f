"""So many clients on kept connections, each asking again once it has its answer: a program beside the server."""

import argparse
import asyncio
import json
import statistics
import time
import uuid
from collections.abc import Callable
from typing import Any, Final

import uvloop

WARM_UP: Final = 0.25  # of the time, first, that is not counted
END: Final = b"\r\n0\r\n\r\n"  # of a body in chunks
BODY: Final = json.dumps({"lines": [{"sku": "LAMP-01", "quantity": 1}], "payment_method": "tok_ok"})


def post(token: str) -> str:
    """Return a request that places an order."""
    return (
        f"POST /v1/orders HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: application/json\r\nIdempotency-Key: {uuid.uuid4()}\r\n"
        f"Content-Length: {len(BODY)}\r\n\r\n{BODY}"
    )


def get(token: str, order_id: str) -> str:
    """Return a request that reads one order."""
    return f"GET /v1/orders/{order_id} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n\r\n"


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: str) -> tuple[int, bytes]:
    """Ask once; return status and body."""
    writer.write(request.encode())
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    status, (_, given, length) = int(head[9:12]), head.partition(b"content-length:")
    if given:
        return status, await reader.readexactly(int(length.split(b"\r\n", 1)[0]))
    chunk = await reader.readuntil(END)  # one chunk, as the bare views answer
    return status, chunk.partition(b"\r\n")[2].removesuffix(END)


async def load(port: int, clients: int, seconds: float, request: Callable[[], str]) -> dict[str, Any]:
    """Return the rate and the times of what was answered with 2xx, and any other status."""
    begin = time.perf_counter() + seconds * WARM_UP
    end = begin + seconds
    times: list[float] = []
    other: set[int] = set()

    async def client() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while (asked := time.perf_counter()) < end:
            status, _ = await ask(reader, writer, request())
            answered = time.perf_counter()
            if status not in {200, 202}:
                other.add(status)
            elif asked >= begin:
                times.append(answered - asked)
        writer.close()

    await asyncio.gather(*(client() for _ in range(clients)))
    cuts = statistics.quantiles(times, n=100, method="inclusive")
    per_s = len(times) / (time.perf_counter() - begin)
    return {
        "per_s": round(per_s, 1),
        "p50_ms": round(cuts[49] * 1e3, 2),
        "p99_ms": round(cuts[98] * 1e3, 2),
        "other": sorted(other),
    }


async def _order(port: int, token: str) -> str:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    status, body = await ask(reader, writer, post(token))
    writer.close()
    assert status == 202, body
    return json.loads(body)["id"]


def main() -> None:
    """Make the load, and print what came of it as one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=["post", "get"])
    parser.add_argument("port", type=int)
    parser.add_argument("clients", type=int)
    parser.add_argument("seconds", type=float)
    given = parser.parse_args()
    token = input()

    async def run() -> dict[str, Any]:
        if given.kind == "post":
            return await load(given.port, given.clients, given.seconds, lambda: post(token))
        request = get(token, await _order(given.port, token))
        return await load(given.port, given.clients, given.seconds, lambda: request)

    print(json.dumps(uvloop.run(run())))


if __name__ == "__main__":
    main()

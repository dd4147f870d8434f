"""Orders placed and read at a rate that waits for nobody, beside clients that keep their connections: a program.

It runs until its input ends, then prints one JSON line: how each request ended, when, and how long it took from when it
was due. Nothing is tried again: a request that got no answer, or another than 200 and 202, has failed.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import uvloop

from benchmarks import http_load
from benchmarks.api_load import post
from devstack.folder import CHECKOUT

GOOD: Final = {200, 202}
KEPT: Final = 4
KEPT_PAUSE_SECONDS: Final = 0.5


@dataclass
class Told:
    """How the requests ended: (moment, seconds, status, whether it placed an order)."""

    outcomes: list[tuple[float, float, int, bool]] = field(default_factory=list)

    def between(self, begin: float, end: float) -> list[float]:
        """Return how long each request took that was asked meanwhile."""
        return [seconds for at, seconds, _, _ in self.outcomes if begin <= at < end]

    @property
    def failed(self) -> list[tuple[float, int]]:
        """Return when each request was asked that failed, and its status; 0: no answer."""
        return [(at, status) for at, _, status, _ in self.outcomes if status not in GOOD]

    @property
    def placed(self) -> int:
        """Return how many orders were accepted."""
        return sum(status == 202 for _, _, status, places in self.outcomes if places)


@contextmanager
def running(port: int, tokens: Sequence[str], rate: float) -> Iterator[Told]:
    """Put the load on the port until the block ends; what is told is there afterwards."""
    command = [sys.executable, "-m", "tests.release.load", str(port), str(rate)]
    told = Told()
    with subprocess.Popen(command, cwd=CHECKOUT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdin
        program.stdin.write(" ".join(tokens) + "\n")
        program.stdin.flush()
        try:
            yield told
            out, _ = program.communicate()
            told.outcomes = [tuple(one) for one in json.loads(out)]
        finally:
            program.kill()


async def until_told(load: http_load.Load, rate: float) -> list[tuple[float, float, int, bool]]:
    """Ask until the input ends, and return what came of it once everything is answered."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_reader(sys.stdin, stop.set)
    found: list[tuple[float, float, int, bool]] = []
    await asyncio.gather(_open(load, rate, stop, found), *(_kept(load, n, stop, found) for n in range(KEPT)))
    return found


async def _open(load: http_load.Load, rate: float, stop: asyncio.Event, found: list[Any]) -> None:
    begin, number, asking = time.perf_counter(), 0, set[asyncio.Task[None]]()
    while not stop.is_set():
        number += 1
        due = begin + number / rate
        if (wait := due - time.perf_counter()) > 0:
            await asyncio.sleep(wait)  # the rate is the load's own
        task = asyncio.create_task(_once(load, due, found))
        asking.add(task)
        task.add_done_callback(asking.discard)
    await asyncio.gather(*asking)


async def _once(load: http_load.Load, due: float, found: list[Any]) -> None:
    at = time.time()
    places = (load.asked + 1) % 2 == 0  # as `Load.request` alternates
    await load.ask(due)
    outcome = load.outcomes[-1]
    found.append((at, outcome.seconds, outcome.status, places))


async def _kept(load: http_load.Load, number: int, stop: asyncio.Event, found: list[Any]) -> None:
    """Place an order twice a second on one connection, until the server says that it ends."""
    reader = writer = None
    while not stop.is_set():
        at, began = time.time(), time.perf_counter()
        try:
            async with asyncio.timeout(http_load.GIVE_UP_SECONDS):
                if writer is None or reader.at_eof():
                    reader, writer = await asyncio.open_connection("127.0.0.1", load.port)
                writer.write(post(load.tokens[number % len(load.tokens)]).encode())
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                length = int(head.partition(b"content-length:")[2].split(b"\r\n", 1)[0])
                await reader.readexactly(length)
                status = int(head[9:12])
                if b"\r\nconnection: close" in head:
                    writer.close()
                    writer = None
        except (OSError, TimeoutError, EOFError):
            status, writer = http_load.NO_ANSWER, None
        found.append((at, time.perf_counter() - began, status, True))
        await asyncio.sleep(KEPT_PAUSE_SECONDS)


def main() -> None:
    """Make the load, and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("rate", type=float)
    given = parser.parse_args()
    load = http_load.Load(given.port, input().split())
    sys.stdout.write(json.dumps(uvloop.run(until_told(load, given.rate))))


if __name__ == "__main__":
    main()

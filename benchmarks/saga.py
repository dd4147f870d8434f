"""Orders from POST to CONFIRMED beside the sagas of two workflow engines: `python -m benchmarks.saga [--quick]`.

One stack, one Temporal and one DBOS take turns, in a sequence that rotates with each repeat; who is not measured is
frozen, but for the database, the broker, our consumers, the payment provider and the mailbox, which idle. Each turn
begins with a warm-up that is not counted. Ours is the whole system: REST, Kafka, PostgreSQL, relays, payment provider
and mail; the console, which follows all topics, is left out. The peers do the same work in the first contest, and in
the second run three steps that do nothing, with no network service but their own server.
Figures go to results/saga.json and docs/benchmarks.md. The last line is one JSON object.
"""

import argparse
import json
import os
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import psutil
import psycopg

from benchmarks import saga_page
from benchmarks.meter import family_seconds, p50_and_p99
from benchmarks.orders import Target, place_all
from benchmarks.peers.dbos import dbos
from benchmarks.peers.orders import SHARED, dbos_orders, temporal_orders
from benchmarks.peers.temporal import temporal
from benchmarks.peers.workflows import Engine
from devstack.harness.interrupts import end_tidily
from devstack.harness.stack import Stack, running, sent
from devstack.harness.wait import wait_until

PRODUCTS = 50
UNITS = 10_000_000
SAGAS = {1: 100, 8: 300, 50: 800, 200: 1500}  # in flight → how many in one turn
QUICK = {1: 20, 8: 40, 50: 100}
WARM_UP = 0.2  # of a turn's sagas
SERVICES = ("order", "inventory", "payment", "notification")
# They idle where nothing comes, and the outside serves the peers as well. A broker that was frozen for 9 s leads
# nothing for a while, and a consumer that was for 10 s is put out of its group.
NEVER_HELD = ("kafka", "registry", ".consumer", *SHARED)
AFTERWARDS_SECONDS = 0.3  # mails and the last acknowledgements: counted as CPU only
REPEATS = 3
WARM_UP_ORDERS = 3000  # for the broker's JVM, which compiles for long; before the first turn


class Contestant(Protocol):
    """Whoever carries sagas to their end."""

    name: str

    def run(self, sagas: int, in_flight: int) -> list[float]:
        """Run so many sagas, so many at a time; returns the seconds that each took."""
        ...

    def cpu_seconds(self) -> dict[str, float]:
        """Return the CPU seconds that each of its programs has used."""
        ...

    def hold(self) -> None:
        """Freeze it."""
        ...

    def release(self) -> None:
        """Let it go on."""
        ...


class Waybill:
    """The system of this repository, whole."""

    name = "waybill"

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.skus = stock(stack)
        self.database = psutil.Process(stack.pid("postgres"))

    def run(self, sagas: int, in_flight: int) -> list[float]:
        """Place so many orders."""
        stack = self.stack
        return place_all(
            Target(stack.urls["order"], stack.state["tokens"]["customer"], stack.kafka), self.skus, sagas, in_flight
        )

    def cpu_seconds(self) -> dict[str, float]:
        """Return the CPU seconds of each program, its children's included."""
        return {name: family_seconds(process) for name, process in self._programs().items()}

    def _programs(self) -> dict[str, psutil.Process]:
        """Return what runs now: one that ended was started anew."""
        running = self.stack.state["processes"]
        return {name: psutil.Process(pid) for name, pid in running.items() if pid and name != "postgres"}

    def hold(self) -> None:
        """Freeze every program of ours."""
        self._send(signal.SIGSTOP)

    def release(self) -> None:
        """Let it go on, and wait until an order goes through: a group that was frozen for long is formed anew."""
        self.wake()
        self.run(1, 1)

    def wake(self) -> None:
        """Let it go on, as it must to be stopped."""
        self._send(signal.SIGCONT)

    def _send(self, number: int) -> None:
        for name, program in self._programs().items():
            if name.endswith(NEVER_HELD):
                continue
            for one in (program, *program.children(recursive=True)):
                with suppress(psutil.NoSuchProcess):
                    one.send_signal(number)


@dataclass(frozen=True)
class Turn:
    """One measurement of one contestant."""

    who: str
    in_flight: int
    repeat: int
    sagas: int
    seconds: float
    p50_ms: float
    p99_ms: float
    cpu_ms: Mapping[str, float]  # a saga, by process

    @property
    def rate(self) -> float:
        """Return sagas per second."""
        return self.sagas / self.seconds


def stock(stack: Stack) -> list[str]:
    """List products with more units than any run sells, and wait until they can be ordered; returns their SKUs."""
    skus = [f"BENCH-{n:03}" for n in range(PRODUCTS)]
    with stack.client("inventory", stack.state["tokens"]["staff"]) as staff:
        for sku in skus:
            listing = {"name": sku, "unit_price": 100, "currency": "EUR"}
            sent(staff.put(f"/v1/products/{sku}", json=listing), 200, 201)
            goods = {"kind": "received", "quantity": UNITS, "reason": "benchmark"}
            sent(staff.post(f"/v1/products/{sku}/stock", json=goods, headers={"Idempotency-Key": sku}), 200)
    wait_until(lambda: priced(stack) >= PRODUCTS, deadline_seconds=30, what="the price list is there")
    return skus


def priced(stack: Stack) -> int:
    """Return how many of the products can be ordered."""
    with psycopg.connect(stack.database("order")) as session:
        row = session.execute("SELECT count(*) FROM prices WHERE sku LIKE 'BENCH-%%'").fetchone()
    return row[0] if row else 0


@contextmanager
def turn_of(who: Contestant) -> Iterator[None]:
    """Let one go on for a block."""
    who.release()
    try:
        yield
    finally:
        who.hold()


def measure(who: Contestant, database: psutil.Process, sagas: int, in_flight: int, repeat: int) -> Turn:
    """Run so many sagas; returns what they took and cost, the load included."""

    def used() -> dict[str, float]:
        own = {"load": sum(psutil.Process().cpu_times()[:2]), "postgres": family_seconds(database)}
        return own | who.cpu_seconds()

    who.run(max(1, round(sagas * WARM_UP)), in_flight)
    before, started = used(), time.perf_counter()
    taken = who.run(sagas, in_flight)
    seconds = time.perf_counter() - started
    time.sleep(AFTERWARDS_SECONDS)  # what is done after the last answer belongs to the cost
    after = used()
    # A program that was started anew in between begins at 0.
    spent = {name: used_now - before.get(name, 0) for name, used_now in after.items()}
    cpu_ms = {name: round((one if one >= 0 else after[name]) * 1000 / sagas, 3) for name, one in spent.items()}
    p50, p99 = p50_and_p99(taken)
    return Turn(who.name, in_flight, repeat, sagas, seconds, p50 * 1000, p99 * 1000, cpu_ms)


def contest(
    everybody: Sequence[Contestant], database: psutil.Process, sagas: Mapping[int, int], repeats: int
) -> list[Turn]:
    """Let all take turns, and print each."""
    turns: list[Turn] = []
    for who in everybody:
        who.hold()
    for repeat in range(repeats):
        for in_flight, count in sagas.items():
            for n in range(len(everybody)):
                who = everybody[(n + repeat) % len(everybody)]
                with turn_of(who):
                    turns.append(measure(who, database, count, in_flight, repeat))
                print(saga_page.line(asdict(turns[-1])), flush=True)
    return turns


def warm_up(ours: Waybill, sagas: int) -> None:
    """Let the broker's JVM compile: its first records cost it several times as much."""
    ours.run(sagas, 50)


def same_work(ours: Waybill, folder: Path, sagas: Mapping[int, int], repeats: int) -> list[Turn]:
    """Let peers that do the same work contend with ours."""
    return _contest_with(
        ours,
        [lambda: temporal_orders(ours.stack, ours.skus, folder), lambda: dbos_orders(ours.stack, ours.skus, folder)],
        sagas,
        repeats,
    )


def bare_steps(ours: Waybill, folder: Path, sagas: Mapping[int, int], repeats: int) -> list[Turn]:
    """Let peers whose steps do nothing contend with ours."""
    return _contest_with(
        ours, [lambda: temporal(folder), lambda: dbos(folder, ours.stack.superuser_url)], sagas, repeats
    )


def _contest_with(
    ours: Waybill, peers: Sequence[Callable[[], Engine | None]], sagas: Mapping[int, int], repeats: int
) -> list[Turn]:
    with ExitStack() as block:
        block.callback(ours.wake)
        everybody: list[Contestant] = [ours]
        for start in peers:
            engine = start()
            if engine is None:
                print("temporal: left out, for there is no Go to build it with")
                continue
            block.enter_context(engine)
            engine.wait_until_ready()
            engine.hold()
            everybody.append(engine)
        return contest(everybody, ours.database, sagas, repeats)


def run(sagas: Mapping[int, int], repeats: int) -> dict[str, Any]:
    """Start everything, let it contend, and return the figures."""
    with tempfile.TemporaryDirectory(prefix="waybill-bench-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        with running(folder / "stack", only=SERVICES) as stack:
            ours = Waybill(stack)
            load_before = os.getloadavg()[0]
            warm_up(ours, WARM_UP_ORDERS * sagas[50] // SAGAS[50])
            same = [asdict(turn) for turn in same_work(ours, folder, sagas, repeats)]
            bare = [asdict(turn) for turn in bare_steps(ours, folder, sagas, repeats)]
    return {
        **saga_page.same_work_ratios(same),
        **saga_page.ratios(bare),
        "conditions": saga_page.conditions(load_before, repeats),
        "same_work": same,
        "turns": bare,
    }


def main() -> None:
    """Run the benchmark, keep its figures and print them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a minute, to see that all works; keeps nothing")
    parser.add_argument("--repeats", type=int, default=REPEATS, help="turns of each at each number in flight")
    parser.add_argument("--grown", action="store_true", help="in place of peers: ours where many orders are there")
    parser.add_argument("--orders", type=int, default=5_000_000, help="with --grown: how many (default: %(default)s)")
    given = parser.parse_args()
    end_tidily()
    if given.grown:
        grown(given)
        return
    found = run(QUICK if given.quick else SAGAS, 1 if given.quick else given.repeats)
    if not given.quick:
        saga_page.keep(found)
    print(json.dumps({name: found[name] for name in saga_page.LAST_LINE if name in found}))


def grown(given: argparse.Namespace) -> None:
    """Measure what orders that are there already cost; a run with few of them, or a quick one, keeps nothing."""
    from benchmarks.growth import grown as growth  # it measures with what stands here
    from benchmarks.growth import page

    found = growth.run(given.orders, QUICK if given.quick else SAGAS, 1 if given.quick else given.repeats)
    if not given.quick and given.orders >= growth.LEAST_KEPT:
        page.keep(found)
    else:
        print(page.tables(found))
    print(json.dumps({name: value for name, value in found.items() if isinstance(value, float)}))


if __name__ == "__main__":
    main()

"""One run: load, faults, recovery, drain, judgement."""

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random

import psycopg

from devstack.harness.wait import wait_until
from tests.chaos import oracle
from tests.chaos.faults import Fault
from tests.chaos.load import Load, flowing
from tests.chaos.plan import PAUSE_SECONDS, Step
from tests.chaos.stage import Stage
from tests.support.audit import Audit, Finding

Say = Callable[[str], None]
DRAIN_SECONDS = 180
COVERAGE_SECONDS = 120  # after the planned faults, for what a slow machine has not come to by then
# After a fault, until whoever lost the database has found it again.
GRACE_SECONDS = 20
ORDERS_SECONDS = 5
IN_FLIGHT = "SELECT count(*) FROM orders WHERE status NOT IN ('CONFIRMED', 'CANCELLED')"
# What a run must have passed through, or it has shown nothing about it.
TRANSITIONS = (
    "OrderPlaced",
    "OrderReserved",
    "OrderCharged",
    "OrderConfirmed",
    "OrderCancelled(OUT_OF_STOCK)",
    "OrderCancelled(PAYMENT_DECLINED)",
    "OrderCancelled(CUSTOMER_REQUEST)",
    "StockReserved",
    "StockRejected",
    "StockReleased",
    "StockCommitted",
    "PaymentCharged",
    "PaymentDeclined",
    "PaymentVoidRequested",
    "PaymentVoided",
    "PaymentRefundRequested",
    "PaymentRefunded",
    "NotificationSent",
)


@dataclass
class Record:
    """What became of one kind of fault."""

    times: int = 0
    reached: int = 0  # its harm was done while orders were in flight
    failures: list[str] = field(default_factory=list)


@dataclass
class Outcome:
    """What a run has to tell."""

    records: dict[str, Record] = field(default_factory=dict)
    transitions: dict[str, int] = field(default_factory=dict)
    orders: int = 0
    found: list[Finding] = field(default_factory=list)
    required: tuple[str, ...] = TRANSITIONS
    shaken: list[tuple[float, float]] = field(default_factory=list)  # when a 503 was in order
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def counts(self) -> dict[str, int]:
        return {
            "orders": self.orders,
            "faults": sum(record.times for record in self.records.values()),
            "reached": sum(record.reached for record in self.records.values()),
            **oracle.counts(self.found),
        }

    @property
    def never(self) -> list[str]:
        """What the run was to reach with orders in flight, and did not."""
        faults = [name for name, record in self.records.items() if not record.reached]
        return faults + [name for name in self.required if not self.transitions.get(name)]

    @property
    def failures(self) -> list[str]:
        return [failure for record in self.records.values() for failure in record.failures]

    @property
    def passed(self) -> bool:
        return not (self.found or self.never or self.failures)


@dataclass(frozen=True, kw_only=True)
class Deadlines:
    """How many seconds a run may take for what ends as soon as it is done."""

    coverage: float = COVERAGE_SECONDS
    drain: float = DRAIN_SECONDS


def run(
    stage: Stage,
    steps: Sequence[Step],
    seed: int,
    orders_per_second: float,
    say: Say,
    deadlines: Deadlines,
) -> Outcome:
    """Inject the steps under load, continue until everything was seen, heal, drain, and judge."""
    load = Load(stage.stack)
    load.prepare()
    outcome = Outcome()
    began = time.monotonic()
    with flowing(load, seed, orders_per_second):
        wait_until(lambda: len(load.placed) >= 5, deadline_seconds=60, what="orders flow")
        for n, step in enumerate(steps, 1):
            names = " + ".join(fault.name for fault in step)
            say(f"{time.monotonic() - began:6.1f} s  {n}/{len(steps)}  {names}")
            _inject_together(stage, step, Random(f"{seed}/{n}"), load, outcome)
            stage.hold(PAUSE_SECONDS)
        _cover_all(stage, steps, load, outcome, say, deadlines.coverage)
    say(f"{time.monotonic() - began:6.1f} s  healing")
    stage.heal()
    load.finish()
    settle(stage, load, outcome, say, deadlines.drain)
    return outcome


def settle(stage: Stage, load: Load, outcome: Outcome, say: Say, drain_seconds: float = DRAIN_SECONDS) -> None:
    """Wait until nothing is in flight, then compare everything."""
    began = time.monotonic()
    left: list[str] = []

    def drained() -> bool:
        left[:] = oracle.unfinished(stage.stack)
        return not left

    audit: Audit | None = None
    try:
        wait_until(drained, deadline_seconds=drain_seconds, what="nothing in flight", every_seconds=1, seen=left)
    except AssertionError:
        outcome.found += [Finding("stuck", line) for line in left]
    say(f"nothing in flight after {time.monotonic() - began:.1f} s; comparing the records")
    audit = oracle.judge(stage.stack, load)
    outcome.found += audit.found
    outcome.orders = len(load.placed)
    outcome.transitions = dict(oracle.types_seen(stage.stack))
    for at in load.unavailable:
        if not any(start <= at <= end for start, end in outcome.shaken):
            outcome.found.append(Finding("wrong_answers", f"503 at {at:.1f} while the database was available"))


def _cover_all(
    stage: Stage, steps: Sequence[Step], load: Load, outcome: Outcome, say: Say, deadline_seconds: float
) -> None:
    """Continue until every transition was seen and every fault met an order, within a deadline."""
    until = time.monotonic() + deadline_seconds
    rng = Random(len(steps))
    while time.monotonic() < until:
        with suppress(psycopg.Error):  # a database may still be recovering from the last fault
            outcome.transitions = dict(oracle.types_seen(stage.stack))
        missing = set(outcome.never)
        if not missing:
            return
        load.incomplete.set()
        again = next((step for step in steps if any(fault.name in missing for fault in step)), ())
        say(f"not reached yet: {', '.join(sorted(missing))}")
        _inject_together(stage, again, rng, load, outcome)
        stage.hold(PAUSE_SECONDS)


def _inject_together(stage: Stage, step: Step, rng: Random, load: Load, outcome: Outcome) -> None:
    threads = [
        threading.Thread(target=_inject, args=(stage, fault, Random(rng.random()), load, outcome)) for fault in step
    ]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if any(fault.shakes_database for fault in step):
        outcome.shaken.append((began, time.monotonic() + GRACE_SECONDS))


def _inject(stage: Stage, fault: Fault, rng: Random, load: Load, outcome: Outcome) -> None:
    failure, reached = "", False
    orders = _await_orders(stage, load)
    try:
        reached = fault.inject(stage, rng)
    except Exception as error:  # noqa: BLE001 - told with the outcome; the others continue
        failure = f"{fault.name}: {type(error).__name__}: {error}"
    with outcome.lock:
        record = outcome.records.setdefault(fault.name, Record())
        record.times += 1
        record.reached += reached and orders > 0
        record.failures += [failure] if failure else []


def _await_orders(stage: Stage, load: Load) -> int:
    """Wait a moment for orders in flight, and return how many there are."""
    until = time.monotonic() + ORDERS_SECONDS
    while not (found := in_flight(stage, load)) and time.monotonic() < until:
        stage.hold(0.02)
    return found


def in_flight(stage: Stage, load: Load) -> int:
    """Return how many orders have not ended."""
    try:
        with stage.superuser("order") as session:
            found = session.execute(IN_FLIGHT).fetchone()
            return found[0] if found else 0
    except psycopg.Error:
        return len(load.open)  # the database is away: what customers wait for is known

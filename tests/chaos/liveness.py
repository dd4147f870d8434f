"""One part stays down for good, and everything else must progress; then the next part.

Down means stopped with nobody to start it again. Customers continue to order. When they pause, whatever does not need
the part has to come to rest without it: relays at their end, messages received, orders at their end or waiting for that
part alone.
"""

from collections.abc import Sequence
from random import Random

import psycopg

from devstack import parts
from devstack.harness.wait import wait_until
from tests.chaos import oracle
from tests.chaos.load import Load, flowing
from tests.chaos.run import Outcome, Record, Say, in_flight, settle
from tests.chaos.stage import Stage
from tests.support.audit import Finding

# Part → services whose own work may wait with it, and states that an order may wait in.
DOWN = {
    "inventory": (frozenset({"inventory"}), ("CANCELLING",)),
    "payment": (frozenset({"payment"}), ("CANCELLING",)),
    "notification": (frozenset({"notification"}), ()),
    "order": (frozenset({"order"}), None),
    "registry": (frozenset(), ()),
    "mailbox": (frozenset({"notification"}), ()),
}
PROGRESS_SECONDS = 90  # beyond the orders' deadline
OPEN = "SELECT status, count(*) FROM orders WHERE status <> ALL(%s) GROUP BY 1"


def run(stage: Stage, seconds: float, seed: int, orders_per_second: float, say: Say) -> Outcome:
    """Take each part down in turn, in a seeded order; then heal, drain, and judge as after any run."""
    load = Load(stage.stack)
    load.prepare()
    outcome = Outcome(required=())
    order = Random(seed).sample(list(DOWN), len(DOWN))
    for n, part in enumerate(order):
        with flowing(load, seed + n, orders_per_second):
            before = len(load.placed)
            wait_until(lambda: len(load.placed) >= before + 5, deadline_seconds=60, what="orders flow")  # noqa: B023
            say(f"{part} is down for good")
            record = outcome.records.setdefault(f"{part} down for good", Record(times=1))
            record.reached += in_flight(stage, load) > 0
            for name in parts.names():
                if name == part or name.startswith(f"{part}."):
                    stage.stop_for_good(name)
            stage.hold(seconds / len(DOWN))
        try:
            _await_progress(stage, part)
        except AssertionError as error:
            record.failures.append(str(error))
            outcome.found.append(Finding("stuck", f"{part} down: {error}"))
        stage.heal()
    load.finish()
    settle(stage, load, outcome, say)
    return outcome


def _await_progress(stage: Stage, part: str) -> None:
    without, waiting = DOWN[part]
    left: list[str] = []

    def drained() -> bool:
        left[:] = oracle.under_way(stage.stack, without)
        if waiting is not None:
            left.extend(_orders(stage, waiting))
        return not left

    what = f"everything but {part} comes to rest"
    wait_until(drained, deadline_seconds=PROGRESS_SECONDS, what=what, every_seconds=0.5, seen=left)


def _orders(stage: Stage, waiting: Sequence[str]) -> list[str]:
    with psycopg.connect(stage.stack.state["databases"]["order"]) as session:
        rows = session.execute(OPEN, [["CONFIRMED", "CANCELLED", *waiting]]).fetchall()
    return [f"{n} orders {status}" for status, n in rows]

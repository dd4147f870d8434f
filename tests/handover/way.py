"""The way over and back, phase by phase, each under each fault; then the rows are held against what writers were told.

A verb that a fault has ended is run again, as an operator would. In a round each phase meets another fault; after as
many rounds as there are faults each phase has met all.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

import psycopg

from tests.handover.faults import FAULTS
from tests.handover.ledger import Judged, Ledger, judge
from tests.handover.stage import AGGREGATE, Side, Stage, finished, wait_for
from tests.handover.writers import Writers

ATTEMPTS = 12
QUIET_SECONDS = 2.0
DRAIN_SECONDS = 120
ORDERS = 300
VERB_KILLED = 0.5
"""How often a kill -9 is of the verb itself."""
COLUMNS = """
SELECT column_name FROM information_schema.columns WHERE table_name = %s ORDER BY column_name
"""
HELD = "SELECT 1 FROM waybill_ownership WHERE source = %s AND held_until > clock_timestamp()"
LEAVING = "SELECT 1 FROM waybill_ownership WHERE source = %s AND leaving"
LOOK_SECONDS = 0.005
Say = Callable[[str], None]


@dataclass
class Outcome:
    """What a run has to tell."""

    seed: int
    writes: int = 0
    judged: Judged = field(default_factory=Judged)
    differs: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    hold_seconds: float = 0.0
    longest_request_seconds: float = 0.0
    handovers: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    """What was not as it must be, beside the writes: a verb that never ended well, a writer that broke."""

    @property
    def counts(self) -> dict[str, Any]:
        """Return the figures."""
        return {
            "writes": self.writes,
            "lost": len(self.judged.lost),
            "doubled": len(self.judged.doubled),
            "reordered": len(self.judged.reordered),
            "differs": len(self.differs),
            "failed_requests": len(self.failed),
            "hold_seconds": round(self.hold_seconds, 2),
        }

    @property
    def found(self) -> list[str]:
        """Return all that is wrong."""
        judged = self.judged
        return judged.lost + judged.doubled + judged.reordered + self.differs + self.failed + self.wrong


class Way:
    """One run."""

    def __init__(self, stage: Stage, seed: int, rounds: int, say: Say) -> None:
        self.stage, self.rounds, self.say = stage, rounds, say
        self.rng, self.ledger, self.outcome = Random(seed), Ledger(), Outcome(seed)
        self.writers = Writers(stage, self.ledger, seed)

    def run(self) -> Outcome:
        """Go over and back under writers, end it, and judge."""
        self.writers.prepare(ORDERS)
        with self.writers.writing():
            self._pause()
            self._prepared()
            names = list(FAULTS)
            self.rng.shuffle(names)
            for number in range(self.rounds):
                shifted = [names[(number + phase) % len(names)] for phase in range(len(names))]
                self._over_and_back(shifted)
            self._handed("cutover", self.stage.here, self.rng.choice(names))
            self._pause()
        self._finished()
        return self._judged()

    def _prepared(self) -> None:
        here, there = self.stage.here, self.stage.there
        self._verb(there, "receive", "on")
        self._verb(there, "capture", "on")
        for fault in FAULTS:
            self._verb(here, "capture", "on", fault=fault)
        for fault in FAULTS:
            self._verb(here, "backfill", "--rate", "100", fault=fault)
        for fault in FAULTS:
            self._verb(here, "verify", "--settle-seconds", "60", fault=fault)

    def _over_and_back(self, faults: Sequence[str]) -> None:
        self._handed("cutover", self.stage.here, faults[0])
        self._strike(faults[1])
        self._pause()
        self._handed("cutback", self.stage.there, faults[2])
        self._strike(faults[3])
        self._pause()

    def _handed(self, verb: str, owner: Side, fault: str) -> None:
        rule = "shop/writes-here" if owner is self.stage.here else "shop/writes-there"
        gateway = ("--gateway", str(self.stage.folder / "gateway"), "--route", rule)
        lines = self._verb(owner, verb, "--hold-seconds", "3", *gateway, fault=fault)
        held = [line["hold_seconds"] for line in lines if line.get("hold_seconds") is not None]
        self.outcome.hold_seconds = max([self.outcome.hold_seconds, *held])
        self.outcome.handovers += 1
        other = self.stage.there if owner is self.stage.here else self.stage.here
        wait_for(lambda: self.stage.owner() is other, f"{other.name} owns after {verb}")

    def _verb(self, side: Side, *arguments: str, fault: str | None = None) -> list[dict[str, Any]]:
        """Run a verb until it ends well; return its lines. The fault comes while it runs, the first time."""
        said = ""
        for attempt in range(ATTEMPTS):
            running = side.verb(*arguments, "--aggregate", AGGREGATE, "--json")
            striking = None
            if fault and attempt == 0:
                killed = running if fault == "kill" and self.rng.random() < VERB_KILLED else None
                striking = threading.Thread(target=self._strike_during, args=(fault, running, killed, side))
                striking.start()
            code, lines, said = finished(running)
            if striking:
                striking.join()
            if code == 0:
                self.say(f"{side.name}: {' '.join(arguments[:2])}: done at attempt {attempt + 1}")
                return lines
            self.say(f"{side.name}: {' '.join(arguments[:2])}: exit {code}: {said.strip()[-300:]}")
            self.writers.stopping.wait(1)
        raise AssertionError(f"{arguments} never ended well: {said[-2000:]}")

    def _strike_during(self, name: str, verb: Any, killed: Any, side: Side) -> None:
        """Strike at some moment, or at the one at which writes are held, or at which nobody owns."""
        moment = self.rng.choice(["some moment", "hold", "leaving"])
        wait = self.rng.uniform(0.3, 3)
        if moment == "some moment":
            self.writers.stopping.wait(wait)
        else:
            query = HELD if moment == "hold" else LEAVING
            while verb.poll() is None and not self._is_so(side, query):
                self.writers.stopping.wait(LOOK_SECONDS)
        if killed is not None:
            killed.kill()
            self.say(f"  kill -9 of the verb at {moment}")
            return
        self._strike(name)

    @staticmethod
    def _is_so(side: Side, query: str) -> bool:
        try:
            return bool(side.rows(query, AGGREGATE))
        except psycopg.Error:
            return False

    def _strike(self, name: str) -> None:
        self.say(f"  {FAULTS[name](self.stage, self.ledger, self.rng)}")

    def _pause(self) -> None:
        self.writers.stopping.wait(QUIET_SECONDS)

    def _finished(self) -> None:
        """Let what is under way arrive, compare both sides, and end the way."""
        try:
            wait_for(lambda: not self._differences(), "both sides are equal", DRAIN_SECONDS)
        except AssertionError:
            self.outcome.differs = self._differences()
        self._verb(self.stage.here, "finish")

    def _differences(self) -> list[str]:
        found = []
        for table in ("orders_order", "orders_orderline"):
            names = [name for (name,) in self.stage.there.rows(COLUMNS, table)]
            query = f"SELECT {', '.join(names)} FROM {table} ORDER BY id"
            here, there = ({row[names.index("id")]: row for row in side.rows(query)} for side in self._sides)
            found += [
                f"{table} {key}: {here.get(key)} here, {there.get(key)} there"
                for key in sorted(here.keys() | there.keys())
                if here.get(key) != there.get(key)
            ]
        return found

    @property
    def _sides(self) -> tuple[Side, Side]:
        return self.stage.here, self.stage.there

    def _judged(self) -> Outcome:
        outcome, ledger = self.outcome, self.ledger
        outcome.judged = judge(ledger, dict(self.stage.there.rows("SELECT id, note FROM orders_order")))
        outcome.writes = outcome.judged.seen
        outcome.failed = [one.what for one in ledger.failures()]
        outcome.longest_request_seconds = ledger.longest_seconds
        outcome.refused = dict(ledger.refused)
        outcome.wrong += self.writers.broken
        return outcome

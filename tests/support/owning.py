"""Two sides that hand rows to each other: what carries events between them, and the verbs as programs."""

import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

from django.db import DatabaseError, connection, connections, models, transaction
from django.db.models import F

from devstack.folder import CHECKOUT
from devstack.harness.wait import wait_until
from tests.support import applying
from tests.support.applying import Side
from tests.support.environments import surroundings
from tests.support.moving import MIGRATE, STOP_SECONDS, Monolith
from waybill.migrate.ownership import handover, moving, receiving, refusing
from waybill.migrate.ownership.moving import HandedOver
from waybill.migrate.ownership.rows import Said

FILL = """
INSERT INTO booking (state, total) SELECT 'n', 10 FROM generate_series(1, 8);
INSERT INTO booking_line (booking_id, item, amount) SELECT id, 'a', 10 FROM booking;
"""
OWNERSHIP = "SELECT is_owner, epoch, leaving, held_until > clock_timestamp() FROM waybill_ownership"
LOOK_BACK = 500
TERMS = handover.Terms(hold_seconds=15.0, settle_seconds=30.0)  # on a machine that is busy with other tests


class Courier(threading.Thread):
    """Carries what each side tells to the other one, as `run`, relay and consumer do, until it is told to end."""

    def __init__(self, sides: "Sides") -> None:
        super().__init__(name="courier")
        self._sides, self._ended = sides, threading.Event()
        self.carries = threading.Event()
        self.carries.set()
        self.letters: list[str] = []
        """The reasons of all dead letters."""
        self._carried: set[str] = set()

    def run(self) -> None:
        own_connection()
        here, there = self._sides.here, self._sides.there
        ends = False
        while not ends:
            ends = self._ended.wait(0.01)  # once more then: what is queued by now is carried
            if self.carries.is_set():
                self.letters = [*self._carry(here, there), *self._carry(there, here)]
        connection.close()

    def _carry(self, of: Side, to: Side) -> list[str]:
        """By what was not carried yet: positions are committed out of their sequence where others append too."""
        of.position = max(0, of.position - LOOK_BACK)
        messages = [one for one in of.told() if one.event_id not in self._carried]
        self._carried |= {one.event_id for one in messages}
        return to.take(messages)

    def end(self) -> None:
        self._ended.set()
        self.join(30)


def own_connection() -> None:
    """Let this thread's Django be on another database than the other threads'."""
    known = connections["default"]
    connections["default"] = type(known)({**known.settings_dict}, "default")


@dataclass
class Sides:
    """The side that owns first, and the other one."""

    here: Side
    there: Side
    folder: Path
    courier: Courier = field(init=False)
    programs: list[subprocess.Popen[str]] = field(default_factory=list)

    @classmethod
    @contextmanager
    def made(cls, here: Monolith, there: Monolith, folder: Path) -> Generator["Sides"]:
        """Make both, fill the first one, and let the second one receive."""
        text = applying.MAPPING
        sides = cls(Side.made(here, "here", folder, text), Side.made(there, "there", folder, text), folder)
        for side in (sides.here, sides.there):
            side.capture()
        with sides.there.in_use():
            receiving.turn_on(sides.there.bookings.aggregate, "default", Said(verb="receive on", by="test"))
        sides.here.execute(FILL)
        with sides.here.in_use():
            sides.here.bookings.backfill()
        sides.courier = Courier(sides)
        sides.courier.start()
        try:
            wait_until(lambda: sides.here.rows() == sides.there.rows(), deadline_seconds=30, what="equal rows")
            yield sides
        finally:
            sides.courier.end()
            for program in sides.programs:
                program.kill()
                program.communicate(timeout=STOP_SECONDS)

    def hand_over(self, verb: str = "cutover", **terms: Any) -> HandedOver:
        """Run the verb on the side that has the rows, in this thread."""
        sides = (self.here, self.there) if verb == "cutover" else (self.there, self.here)
        return self.attempt(*sides, verb, **terms)

    def attempt(self, own: Side, other: Side, verb: str, **terms: Any) -> HandedOver:
        """Run the verb on a side, in this thread."""
        with own.in_use():
            built, url = own.bookings.built(), other.bookings.shop.url
            return moving.hand_over(built, "default", url, replace(TERMS, **terms), Said(verb=verb, by="test"))

    def owners(self) -> list[tuple[Any, ...]]:
        """What each side says: whether it owns, the epoch, whether it is leaving, whether writes are held."""
        return [row for side in (self.here, self.there) for row in side.execute(OWNERSHIP) or [(True, 0, False, None)]]

    def start(self, side: Side, *arguments: str) -> subprocess.Popen[str]:
        """Start a verb as a program, on this side."""
        other = self.there if side is self.here else self.here
        settings = {"DJANGO_SETTINGS_MODULE": "tests.support.bookings_project", "BOOKINGS_URL": side.bookings.shop.url}
        environment = surroundings(**settings, THERE=other.bookings.shop.url, PYTHONPATH=str(CHECKOUT))
        command = [sys.executable, *MIGRATE, *arguments, "--mapping", str(self.folder / "migrate.toml")]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        program: subprocess.Popen[str] = subprocess.Popen(command, cwd=CHECKOUT, env=environment, **pipes)  # pyright: ignore[reportCallIssue, reportArgumentType]
        self.programs.append(program)
        return program

    def run(self, side: Side, *arguments: str) -> tuple[int, str, str]:
        """Exit code, answer and messages of a verb."""
        program = self.start(side, *arguments)
        answer, messages = program.communicate(timeout=60)
        return program.returncode, answer, messages


class Booking(models.Model):
    """What a project's model of the table would be."""

    state: "models.TextField[str, str]" = models.TextField(default="n")
    owner_id: "models.BigIntegerField[int, int]" = models.BigIntegerField(default=1)
    total: "models.DecimalField[Decimal, Decimal]" = models.DecimalField(max_digits=12, decimal_places=2)

    class Meta:
        app_label = "bookings_of_tests"
        db_table = "booking"
        managed = False

    def __str__(self) -> str:
        return f"booking {self.pk}"


class Accepted(NamedTuple):
    """A write that a side has taken, at a time while it had the table's lock."""

    at: datetime
    service: str
    cents: int


class Gateway:
    """Lets writers through to the side that owns, none while writes are held, and knows which are under way."""

    def __init__(self, sides: Sides) -> None:
        self._sides, self._lock, self._under_way = sides, threading.Lock(), 0
        self.accepted: list[Accepted] = []
        self.refused: list[str] = []

    @contextmanager
    def passed(self) -> Generator[Side]:
        """The side that a request goes to."""
        while True:
            ((is_owner, _, leaving, held),) = self._sides.here.execute(OWNERSHIP) or [(True, 0, False, False)]
            if not leaving and not held:
                break
        with self._lock:
            self._under_way += 1
        try:
            yield self._sides.here if is_owner else self._sides.there
        finally:
            with self._lock:
                self._under_way -= 1

    def in_flight(self) -> int:
        """As the gateway's own: 0 only after nothing was under way for a tenth of a second."""
        until = time.monotonic() + 0.1
        while self._under_way == 0 and time.monotonic() < until:
            time.sleep(0.005)
        return self._under_way

    def write(self, side: Side, work: Callable[[Any], int], *, late: bool = False) -> None:
        """Do what returns cents, in a transaction on this side."""
        with side.in_use():
            try:
                with transaction.atomic(), connection.cursor() as cursor:
                    cents = work(cursor)
                    cursor.execute("SELECT clock_timestamp()")
                    taken = Accepted(cursor.fetchone()[0], side.service, cents)
                self.accepted.append(taken)
            except DatabaseError as error:
                code = getattr(error.__cause__, "sqlstate", None)
                if not (late and code == refusing.REFUSED):
                    self.refused.append(f"{code} {error}")


def rise(cursor: Any) -> int:
    """By raw SQL."""
    cursor.execute("UPDATE booking SET total = total + 0.01 WHERE id = %s", [random.randint(1, 8)])
    return 1


def rise_some(_: Any) -> int:
    """By the ORM, without a signal."""
    first = random.randint(1, 6)
    return Booking.objects.filter(pk__range=(first, first + 2)).update(total=F("total") + Decimal("0.01"))


def make(_: Any) -> int:
    """New ones, with ids that the database gives."""
    for cents in ("0.01", "0.02"):
        Booking.objects.create(total=Decimal(cents))
    return 3


class Writer(threading.Thread):
    """Writes through the gateway; or, where it is `late`, past it to a side of its own."""

    def __init__(self, gateway: Gateway, late: Side | None = None) -> None:
        super().__init__(name="writer")
        self._gateway, self._late, self._ended = gateway, late, threading.Event()

    def run(self) -> None:
        own_connection()
        while not self._ended.wait(0.005):
            if self._late is not None:
                self._gateway.write(self._late, rise, late=True)
                continue
            with self._gateway.passed() as side:
                self._gateway.write(side, random.choice([rise, rise_some, make]))
        connection.close()

    def end(self) -> None:
        self._ended.set()
        self.join(30)

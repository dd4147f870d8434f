"""One order in all four services, what is on its way between them, and every step that it can take.

A road is what one reader has of one topic: what it has seen, what is parked, what waits. Each road is read in sequence,
and independently of every other road. A due row may be claimed by a second worker while the first one's call is still
under way; each call sees the row as it was when claimed.
"""

import typing
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import NoneType
from typing import Any, NamedTuple
from uuid import UUID

from tests.model.corridor import NO_ROW, Corridor, Fault, Outcome
from tests.model.outside import CALLS, Books, PutOff, attempt, forgotten
from tests.model.scopes import Scope
from waybill.deciders.outcomes import NeedsAttention
from waybill.deciders.service import Settlement, Task, Tried

AGGREGATES = ("order", "reservation", "payment", "notification")
OWNER = {"order": "order", "reservation": "inventory", "payment": "payment", "notification": "notification"}
OF_SERVICE = {service: n for n, service in enumerate(OWNER.values())}
STOCK = OF_SERVICE["inventory"]
PAYMENT = OF_SERVICE["payment"]
UNDER_WAY = -1  # no command has come of a call yet
LATE_SECONDS = 13 * 3600  # past `provider_ask_for`
LONGEST_LOG = 24  # events on one road: more, and something goes round in circles


class Road(NamedTuple):
    """What one reader has of one topic, as numbers of events."""

    seen: tuple[int, ...] = ()
    parked: tuple[int, ...] = ()
    waiting: tuple[int, ...] = ()


class Due(NamedTuple):
    """A due row: a task of a service, the event that asked for it, and what came before."""

    service: int
    task: str
    event: int
    attempts: int = 0
    """0, 1, or 2 for more."""
    in_vain: bool = False

    @property
    def identity(self) -> tuple[int, str, int]:
        """Return what stays the same."""
        return self[:3]


class Call(NamedTuple):
    """An attempt under way: claimed on a row as it was; with the answers that came, or the command that came of it."""

    due: Due
    row: int
    late: bool
    answers: tuple[str, ...] = ()
    command: int = UNDER_WAY


class Life(NamedTuple):
    """One order, everywhere."""

    rows: tuple[int, ...]
    roads: tuple[Road, ...]
    due: tuple[Due, ...] = ()
    calls: tuple[Call, ...] = ()
    books: Books = Books()
    mails: tuple[str, ...] = ()
    """Message-IDs in the customer's mailbox."""
    day: int = 0
    """1 past the time in which a charge is asked for again, 2 once the provider has forgotten its keys."""


class Step(NamedTuple):
    """What can happen, in words, and the life afterwards."""

    says: str
    life: Life
    forced: bool
    """Happens by itself, sooner or later; what a client, a failure or a repeat does is not."""


@dataclass
class Lives:
    """Every step of one order, by the rules of a scope."""

    corridor: Corridor
    scope: Scope
    order_id: UUID
    readers: list[tuple[str, str]] = field(default_factory=list)
    attempts: dict[Any, int | str | PutOff | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        told = [name for name in self.corridor.services if name != "notification" or self.scope.mail]
        self.readers = [
            (name, topic)
            for name in told
            for topic in self.corridor.services[name].topics
            if topic != "inventory.products.v1"
        ]
        self.names = list(OWNER.values())

    def unplaced(self) -> Life:
        """Return an order before it is placed."""
        return Life((NO_ROW,) * len(AGGREGATES), (Road(),) * len(self.readers))

    def place(self, service: int) -> tuple[str, str]:
        """Return where this order's row of a service stands."""
        return AGGREGATES[service], str(self.order_id)

    def decided(self, life: Life, service: int, command: int) -> tuple[Outcome, Life]:
        """Handle a command of a service other than the inventory."""
        place = self.place(service)
        outcome = self.corridor.handle(self.names[service], command, ((place, life.rows[service]),))
        return outcome, self.after(life, service, outcome)

    def after(self, life: Life, service: int, outcome: Outcome) -> Life:
        """Return the life with the rows, roads and due rows that follow from an outcome."""
        if not outcome.events:
            return life
        rows = list(life.rows)
        for place, number in outcome.changed:
            if place == self.place(service):
                rows[service] = number
        roads, due = list(life.roads), list(life.due)
        for number in outcome.events:
            event = self.corridor.events[number]
            for n, (reader, topic) in enumerate(self.readers):
                if event.topic == topic and self.corridor.reaction(reader, number) is not None:
                    roads[n] = self._sent(roads[n], number)
            due += self._asked(service, number)
        return life._replace(rows=tuple(rows), roads=tuple(roads), due=tuple(sorted(due)))

    def _sent(self, road: Road, event: int) -> Road:
        if len(road.seen) + len(road.parked) + len(road.waiting) > LONGEST_LOG:
            raise Fault("events without end")
        return road._replace(waiting=(*road.waiting, event))

    def _asked(self, service: int, event: int) -> Iterator[Due]:
        for task in self.corridor.services[self.names[service]].due_after.get(type(self.corridor.events[event]), ()):
            watches = (
                typing.get_type_hints(task.attempt).get("return") is NoneType
            )  # tells an operator, decides nothing
            if watches or (task.delay and not self.scope.deadline):
                continue
            if self.names[service] != "notification" or self.scope.mail:
                yield Due(service, task.name, event)

    # What can happen.

    def steps(self, life: Life) -> Iterator[Step]:
        """Yield every step in which no product takes part."""
        if life.rows[0] == NO_ROW:
            return
        for n, (reader, topic) in enumerate(self.readers):
            if self.scope.parks:
                yield from self._parked(life, n, f"{reader} ← {topic}")
            if reader != "inventory":
                yield from self._handled(life, n)
        if self.scope.cancels:
            yield self._asks(life, "CancelOrder", "a client cancels")
        if self.scope.settles:
            yield from self._settled(life)
        if self.scope.errors:
            yield from self._grows_late(life)
        for due in life.due:
            yield from self._attempted(life, due)
        for call in dict.fromkeys(life.calls):
            yield from self._called(life, call)

    def _handled(self, life: Life, n: int) -> Iterator[Step]:
        for says, event, road, forced in self.readings(life, n):
            yield self._read(life._replace(roads=_put(life.roads, n, road)), n, event, says, forced)

    def readings(self, life: Life, n: int) -> Iterator[tuple[str, int, Road, bool]]:
        """Yield each event that a reader may handle now, with its road afterwards."""
        road, (reader, _) = life.roads[n], self.readers[n]
        name = self.corridor.events
        if road.parked:
            event, *rest = road.parked
            after = road._replace(seen=self._seen(road, event), parked=tuple(rest))
            yield f"{reader} redrives {type(name[event]).__name__}", event, after, True
        elif road.waiting:
            event, *rest = road.waiting
            after = road._replace(seen=self._seen(road, event), waiting=tuple(rest))
            yield f"{reader} reads {type(name[event]).__name__}", event, after, True
        for event in dict.fromkeys(road.seen):
            yield f"{reader} reads {type(name[event]).__name__} again", event, road, False

    def _seen(self, road: Road, event: int) -> tuple[int, ...]:
        return (*road.seen, event) if self.scope.again else ()

    def _parked(self, life: Life, n: int, road_name: str) -> Iterator[Step]:
        road = life.roads[n]
        if road.waiting:
            event, *rest = road.waiting
            behind = " behind what is parked" if road.parked else ": its handling fails"
            after = road._replace(parked=(*road.parked, event), waiting=tuple(rest))
            says = f"{road_name} parks {type(self.corridor.events[event]).__name__}{behind}"
            yield Step(says, life._replace(roads=_put(life.roads, n, after)), bool(road.parked))

    def _read(self, life: Life, n: int, event: int, says: str, forced: bool) -> Step:
        reader, _ = self.readers[n]
        command = self.corridor.reaction(reader, event)
        assert command is not None  # events that nobody reacts to are on no road
        outcome, after = self.decided(life, OF_SERVICE[reader], command)
        if outcome.refused:
            raise Fault(f"{says}: {outcome.says}")
        return Step(f"{says}: {outcome.says}", after, forced)

    def _asks(self, life: Life, kind: str, says: str) -> Step:
        command = getattr(self.corridor.services["order"].domain, kind)(order_id=self.order_id)
        outcome, after = self.decided(life, OF_SERVICE["order"], self.corridor.commands(command))
        return Step(f"{says}: {outcome.says}", after, forced=False)

    def _settled(self, life: Life) -> Iterator[Step]:
        """Let an operator who has looked into the provider's books do what `outbox settle` does."""
        plan = self.corridor.services["payment"]
        assert plan.settles is not None
        task, to_command = plan.settles
        if life.rows[PAYMENT] == NO_ROW or life.books.refunds or any(call.due.task == task.name for call in life.calls):
            return
        state = self.corridor.state("payment", self.place(PAYMENT), life.rows[PAYMENT])
        for reference in ("transfer 7", None):
            command = self.corridor.commands(to_command(state, Settlement(reference)))
            outcome, after = self.decided(life, PAYMENT, command)
            due = tuple(row for row in after.due if row.task != task.name)
            yield Step(f"an operator settles ({reference}): {outcome.says}", after._replace(due=due), forced=False)

    def _attempted(self, life: Life, due: Due) -> Iterator[Step]:
        if self.task(due).delay:
            command = self._attempt(Call(due, life.rows[due.service], late=False))
            assert isinstance(command, int)
            outcome, after = self.decided(life, due.service, command)
            if outcome.refused:
                raise Fault(f"the deadline passes: {outcome.says}")
            says = f"the deadline passes: {outcome.says}"
            yield Step(says, after._replace(due=_without(due, after)), forced=self.scope.errors)
            return
        under_way = sum(call.due.identity == due.identity for call in life.calls)
        if under_way <= self.scope.overlapping:
            claimed = due._replace(attempts=min(2, due.attempts + 1))
            rows = tuple(sorted((*_without(due, life), claimed)))
            call = Call(claimed, life.rows[due.service], late=life.day > 0)
            again = " again, the lease has run out" if under_way else ""
            after = self._goes_on(life._replace(due=rows), call)
            yield Step(f"a worker claims {due.task}{again}", after, forced=not under_way)

    def _called(self, life: Life, call: Call) -> Iterator[Step]:
        calls = list(life.calls)
        calls.remove(call)
        without = life._replace(calls=tuple(calls))
        if call.command != UNDER_WAY:
            yield self._recorded(without, call)
            return
        asks = self._attempt(call)
        says = f"{call.due.task} asks the outside: {asks}"
        for answer, outside_now in self._answers(without, call.due, str(asks)):
            answered = self._goes_on(outside_now, call._replace(answers=(*call.answers, answer)))
            yield Step(f"{says}, {answer}", answered, forced=answer != "lost")
            if self.scope.lost and answer != "lost":
                lost = self._goes_on(outside_now, call._replace(answers=(*call.answers, "lost")))
                yield Step(f"{says}, {answer}, and the answer is lost", lost, forced=False)
        if self.scope.lost:
            never = self._goes_on(without, call._replace(answers=(*call.answers, "lost")))
            yield Step(f"{says}, which never arrives", never, forced=False)

    def _goes_on(self, life: Life, call: Call) -> Life:
        """Let an attempt run until it asks the outside, or is done."""
        match self._attempt(call):
            case str():
                pass
            case int(command):
                call = call._replace(answers=(), command=command)
            case None:
                return life._replace(due=_without(call.due, life))
            case PutOff(in_vain=in_vain):
                return life._replace(due=tuple(sorted(_marked(row, call, in_vain=in_vain) for row in life.due)))
        return life._replace(calls=tuple(sorted((*life.calls, call))))

    def _answers(self, life: Life, due: Due, asks: str) -> Iterator[tuple[str, Life]]:
        if asks in CALLS:
            for answer, books in CALLS[asks](life.books, errors=self.scope.errors):
                yield answer, life._replace(books=books)
        elif asks == "address":
            yield "known", life
            yield "nothing", life
        else:
            kind = self.corridor.events[due.event].kind
            yield "sent", life._replace(mails=tuple(sorted({*life.mails, kind})))
            yield "refused", life

    def _attempt(self, call: Call) -> int | str | PutOff | None:
        """Return the command that comes of it, or what it asks next; PutOff, or None where nothing is left to do."""
        due = call.due
        key = (due, call.row, call.late, call.answers)
        if key not in self.attempts:
            tried = Tried(max(1, due.attempts), LATE_SECONDS if call.late else 0, due.in_vain)
            state = self.corridor.state(self.names[due.service], self.place(due.service), call.row)
            try:
                found = attempt(self.task(due), state, self.corridor.events[due.event], tried, call.answers)
            except NeedsAttention as error:
                raise Fault(f"{due.task} needs an operator: {error}") from error
            settled = found is None or isinstance(found, str | PutOff)
            self.attempts[key] = found if settled else self.corridor.commands(found)
        return self.attempts[key]

    def task(self, due: Due) -> Task:
        """Return what a due row asks for."""
        return self.corridor.services[self.names[due.service]].tasks[due.task]

    def _recorded(self, life: Life, call: Call) -> Step:
        due = call.due
        outcome, after = self.decided(life, due.service, call.command)
        says = f"a worker records {type(self.corridor.commands[call.command]).__name__}: {outcome.says}"
        if outcome.refused:
            raise Fault(says)
        return Step(says, after._replace(due=_without(due, after)), forced=True)

    def _grows_late(self, life: Life) -> Iterator[Step]:
        """Let half a day pass since the first call, then days: a call under way lasts seconds."""
        asked = life.rows[PAYMENT] != NO_ROW and all(row.task != "charge" or row.attempts for row in life.due)
        if life.day == 0 and asked and not life.calls:
            yield Step("half a day passes", life._replace(day=1), forced=True)
        after = life._replace(day=2, books=forgotten(life.books))
        if life.day > 0 and not life.calls and after != life:
            yield Step("the provider forgets its keys", after, forced=True)


def _without(due: Due, life: Life) -> tuple[Due, ...]:
    return tuple(one for one in life.due if one.identity != due.identity)


def _marked(row: Due, call: Call, *, in_vain: bool) -> Due:
    return row._replace(in_vain=row.in_vain or in_vain) if row.identity == call.due.identity else row


def _put(roads: tuple[Road, ...], n: int, road: Road) -> tuple[Road, ...]:
    return (*roads[:n], road, *roads[n + 1 :])

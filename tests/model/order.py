"""One order in all four services, what is on its way between them, and every step that it can take.

A queue is what one reader has of one topic: what it has seen, its dead letters, what waits. Each queue is read in
sequence, and independently of every other queue. A due row may be claimed by a second worker while the first one's call
is still under way; each call sees the row as it was when claimed.
"""

import typing
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import NoneType
from typing import Any, NamedTuple
from uuid import UUID

from tests.model.outside import CALLS, Ledger, PutOff, attempt, forgotten
from tests.model.scopes import Scope
from waybill.deciders.outcomes import NeedsAttention
from waybill.deciders.service import Settlement, Task, Tried
from waybill.testing.decisions import NO_ROW, Decisions, Fault, Outcome

AGGREGATES = ("order", "reservation", "payment", "notification")
OWNER = {"order": "order", "reservation": "inventory", "payment": "payment", "notification": "notification"}
OF_SERVICE = {service: n for n, service in enumerate(OWNER.values())}
STOCK = OF_SERVICE["inventory"]
PAYMENT = OF_SERVICE["payment"]
NOTIFICATION = OF_SERVICE["notification"]
UNDER_WAY = -1  # no command has come of a call yet
LATE_SECONDS = 13 * 3600  # past `provider_ask_for`
FROM_THE_WEBSHOP = "shop.orders.v1"
PRODUCTS = ("inventory.products.v1", "shop.products.v1")
LONGEST_LOG = 24  # events in one queue: more, and something goes round in circles


class Queue(NamedTuple):
    """What one reader has of one topic, as numbers of events."""

    seen: tuple[int, ...] = ()
    dead_letters: tuple[int, ...] = ()
    waiting: tuple[int, ...] = ()


class Due(NamedTuple):
    """A due row: a task of a service, the event that asked for it, and what came before."""

    service: int
    task: str
    event: int
    attempts: int = 0
    """0, 1, or 2 for more."""
    look_up_only: bool = False

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


class OrderState(NamedTuple):
    """One order, in every service."""

    rows: tuple[int, ...]
    queues: tuple[Queue, ...]
    due: tuple[Due, ...] = ()
    calls: tuple[Call, ...] = ()
    ledger: Ledger = Ledger()
    mails: tuple[str, ...] = ()
    """Message-IDs in the customer's mailbox."""
    day: int = 0
    """1 past the time in which a charge is asked for again, 2 once the provider has forgotten its keys."""


class Step(NamedTuple):
    """What can happen, in words, and the order's state afterwards."""

    says: str
    order: OrderState
    forced: bool
    """Happens by itself, sooner or later; what a client, a failure or a repeat does is not."""


@dataclass
class OrderSteps:
    """Every step of one order, by the rules of a scope."""

    decisions: Decisions
    scope: Scope
    order_id: UUID
    readers: list[tuple[str, str]] = field(default_factory=list)
    attempts: dict[Any, int | str | PutOff | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        told = [name for name in self.decisions.services if name != "notification" or self.scope.mail]
        self.readers = [
            (name, topic) for name in told for topic in self.decisions.services[name].topics if topic not in PRODUCTS
        ]
        self.names = list(OWNER.values())

    def unplaced(self) -> OrderState:
        """Return an order before it is placed; one of the webshop with all that is told of it on its way."""
        told = tuple(map(self.decisions.events, self.scope.told))
        queues = [Queue(waiting=told if topic == FROM_THE_WEBSHOP else ()) for _, topic in self.readers]
        return OrderState((NO_ROW,) * len(AGGREGATES), tuple(queues))

    def place(self, service: int) -> tuple[str, str]:
        """Return where this order's row of a service stands."""
        return AGGREGATES[service], str(self.order_id)

    def decided(self, order: OrderState, service: int, command: int) -> tuple[Outcome, OrderState]:
        """Handle a command of a service other than the inventory."""
        place = self.place(service)
        outcome = self.decisions.handle(self.names[service], command, ((place, order.rows[service]),))
        return outcome, self.after(order, service, outcome)

    def after(self, order: OrderState, service: int, outcome: Outcome) -> OrderState:
        """Return the order with the rows, queues and due rows that follow from an outcome."""
        if not outcome.events:
            return order
        rows = list(order.rows)
        for place, number in outcome.changed:
            if place == self.place(service):
                rows[service] = number
        queues, due = list(order.queues), list(order.due)
        for number in outcome.events:
            event = self.decisions.events[number]
            for n, (reader, topic) in enumerate(self.readers):
                if event.topic == topic and self.decisions.reaction(reader, number) is not None:
                    queues[n] = self._sent(queues[n], number)
            due += self._asked(service, number)
        return order._replace(rows=tuple(rows), queues=tuple(queues), due=tuple(sorted(due)))

    def _sent(self, queue: Queue, event: int) -> Queue:
        if len(queue.seen) + len(queue.dead_letters) + len(queue.waiting) > LONGEST_LOG:
            raise Fault("events without end")
        return queue._replace(waiting=(*queue.waiting, event))

    def _asked(self, service: int, event: int) -> Iterator[Due]:
        for task in self.decisions.services[self.names[service]].due_after.get(type(self.decisions.events[event]), ()):
            watches = (
                typing.get_type_hints(task.attempt).get("return") is NoneType
            )  # tells an operator, decides nothing
            if watches or (task.delay and not self.scope.deadline):
                continue
            if self.names[service] != "notification" or self.scope.mail:
                yield Due(service, task.name, event)

    # What can happen.

    def steps(self, order: OrderState) -> Iterator[Step]:
        """Yield every step in which no product takes part."""
        if order.rows[0] == NO_ROW and not self.scope.told:
            return
        for n, (reader, topic) in enumerate(self.readers):
            if self.scope.dead_letters:
                yield from self._dead_lettered(order, n, f"{reader} ← {topic}")
            if reader != "inventory":
                yield from self._handled(order, n)
        if self.scope.cancels:
            yield self._asks(order, "CancelOrder", "a client cancels")
        if self.scope.settles:
            yield from self._settled(order)
        if self.scope.errors:
            yield from self._grows_late(order)
        for due in order.due:
            yield from self._attempted(order, due)
        for call in dict.fromkeys(order.calls):
            yield from self._called(order, call)

    def _handled(self, order: OrderState, n: int) -> Iterator[Step]:
        for says, event, queue, forced in self.readings(order, n):
            yield self._read(order._replace(queues=_put(order.queues, n, queue)), n, event, says, forced)

    def readings(self, order: OrderState, n: int) -> Iterator[tuple[str, int, Queue, bool]]:
        """Yield each event that a reader may handle now, with its queue afterwards."""
        queue, (reader, _) = order.queues[n], self.readers[n]
        name = self.decisions.events
        if queue.dead_letters:
            event, *rest = queue.dead_letters
            after = queue._replace(seen=self._seen(queue, event), dead_letters=tuple(rest))
            yield f"{reader} redrives {type(name[event]).__name__}", event, after, True
        elif queue.waiting:
            event, *rest = queue.waiting
            after = queue._replace(seen=self._seen(queue, event), waiting=tuple(rest))
            yield f"{reader} reads {type(name[event]).__name__}", event, after, True
        for event in dict.fromkeys(queue.seen):
            yield f"{reader} reads {type(name[event]).__name__} again", event, queue, False

    def _version(self, event: int) -> int:
        """Return which event of the webshop's it is; of others nobody asks."""
        told = self.decisions.events[event]
        return self.scope.told.index(told) + 1 if told in self.scope.told else 1

    def _seen(self, queue: Queue, event: int) -> tuple[int, ...]:
        return (*queue.seen, event) if self.scope.again else ()

    def _dead_lettered(self, order: OrderState, n: int, queue_name: str) -> Iterator[Step]:
        queue = order.queues[n]
        if queue.waiting:
            event, *rest = queue.waiting
            behind = " behind a dead letter" if queue.dead_letters else ": its handling fails"
            after = queue._replace(dead_letters=(*queue.dead_letters, event), waiting=tuple(rest))
            says = f"{queue_name} makes a dead letter of {type(self.decisions.events[event]).__name__}{behind}"
            yield Step(says, order._replace(queues=_put(order.queues, n, after)), bool(queue.dead_letters))

    def _read(self, order: OrderState, n: int, event: int, says: str, forced: bool) -> Step:
        reader, _ = self.readers[n]
        command = self.decisions.reaction(reader, event, self._version(event))
        assert command is not None  # events that nobody reacts to are in no queue
        outcome, after = self.decided(order, OF_SERVICE[reader], command)
        if outcome.refused:
            raise Fault(f"{says}: {outcome.says}")
        return Step(f"{says}: {outcome.says}", after, forced)

    def _asks(self, order: OrderState, kind: str, says: str) -> Step:
        command = getattr(self.decisions.services["order"].domain, kind)(order_id=self.order_id)
        outcome, after = self.decided(order, OF_SERVICE["order"], self.decisions.commands(command))
        return Step(f"{says}: {outcome.says}", after, forced=False)

    def _settled(self, order: OrderState) -> Iterator[Step]:
        """Let an operator who has looked into the provider's ledger do what `outbox settle` does."""
        plan = self.decisions.services["payment"]
        assert plan.settles is not None
        task, to_command = plan.settles
        if (
            order.rows[PAYMENT] == NO_ROW
            or order.ledger.refunds
            or any(call.due.task == task.name for call in order.calls)
        ):
            return
        state = self.decisions.state("payment", self.place(PAYMENT), order.rows[PAYMENT])
        for reference in ("transfer 7", None):
            command = self.decisions.commands(to_command(state, Settlement(reference)))
            outcome, after = self.decided(order, PAYMENT, command)
            due = tuple(row for row in after.due if row.task != task.name)
            yield Step(f"an operator settles ({reference}): {outcome.says}", after._replace(due=due), forced=False)

    def _attempted(self, order: OrderState, due: Due) -> Iterator[Step]:
        if self.task(due).delay:
            command = self._attempt(Call(due, order.rows[due.service], late=False))
            assert isinstance(command, int)
            outcome, after = self.decided(order, due.service, command)
            if outcome.refused:
                raise Fault(f"the deadline passes: {outcome.says}")
            says = f"the deadline passes: {outcome.says}"
            yield Step(says, after._replace(due=_without(due, after)), forced=self.scope.errors)
            return
        under_way = sum(call.due.identity == due.identity for call in order.calls)
        if under_way <= self.scope.overlapping:
            claimed = due._replace(attempts=min(2, due.attempts + 1))
            rows = tuple(sorted((*_without(due, order), claimed)))
            call = Call(claimed, order.rows[due.service], late=order.day > 0)
            again = " again, the lease has run out" if under_way else ""
            after = self._goes_on(order._replace(due=rows), call)
            yield Step(f"a worker claims {due.task}{again}", after, forced=not under_way)

    def _called(self, order: OrderState, call: Call) -> Iterator[Step]:
        calls = list(order.calls)
        calls.remove(call)
        without = order._replace(calls=tuple(calls))
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

    def _goes_on(self, order: OrderState, call: Call) -> OrderState:
        """Let an attempt run until it asks the outside, or is done."""
        match self._attempt(call):
            case str():
                pass
            case int(command):
                call = call._replace(answers=(), command=command)
            case None:
                return order._replace(due=_without(call.due, order))
            case PutOff(look_up_only=look_up_only):
                return order._replace(
                    due=tuple(sorted(_marked(row, call, look_up_only=look_up_only) for row in order.due))
                )
        return order._replace(calls=tuple(sorted((*order.calls, call))))

    def _answers(self, order: OrderState, due: Due, asks: str) -> Iterator[tuple[str, OrderState]]:
        if asks in CALLS:
            for answer, ledger in CALLS[asks](order.ledger, errors=self.scope.errors):
                yield answer, order._replace(ledger=ledger)
        elif asks == "address":
            yield "known", order
            yield "nothing", order
        else:
            kind = self.decisions.events[due.event].kind
            yield "sent", order._replace(mails=tuple(sorted({*order.mails, kind})))
            yield "refused", order

    def _attempt(self, call: Call) -> int | str | PutOff | None:
        """Return the command that comes of it, or what it asks next; PutOff, or None where nothing is left to do."""
        due = call.due
        key = (due, call.row, call.late, call.answers)
        if key not in self.attempts:
            tried = Tried(max(1, due.attempts), LATE_SECONDS if call.late else 0, due.look_up_only)
            state = self.decisions.state(self.names[due.service], self.place(due.service), call.row)
            try:
                found = attempt(self.task(due), state, self.decisions.events[due.event], tried, call.answers)
            except NeedsAttention as error:
                raise Fault(f"{due.task} needs an operator: {error}") from error
            settled = found is None or isinstance(found, str | PutOff)
            self.attempts[key] = found if settled else self.decisions.commands(found)
        return self.attempts[key]

    def task(self, due: Due) -> Task:
        """Return what a due row asks for."""
        return self.decisions.services[self.names[due.service]].tasks[due.task]

    def _recorded(self, order: OrderState, call: Call) -> Step:
        due = call.due
        outcome, after = self.decided(order, due.service, call.command)
        says = f"a worker records {type(self.decisions.commands[call.command]).__name__}: {outcome.says}"
        if outcome.refused:
            raise Fault(says)
        return Step(says, after._replace(due=_without(due, after)), forced=True)

    def _grows_late(self, order: OrderState) -> Iterator[Step]:
        """Let half a day pass since the first call, then days: a call under way lasts seconds."""
        asked = order.rows[PAYMENT] != NO_ROW and all(row.task != "charge" or row.attempts for row in order.due)
        if order.day == 0 and asked and not order.calls:
            yield Step("half a day passes", order._replace(day=1), forced=True)
        after = order._replace(day=2, ledger=forgotten(order.ledger))
        if order.day > 0 and not order.calls and after != order:
            yield Step("the provider forgets its keys", after, forced=True)


def _without(due: Due, order: OrderState) -> tuple[Due, ...]:
    return tuple(one for one in order.due if one.identity != due.identity)


def _marked(row: Due, call: Call, *, look_up_only: bool) -> Due:
    return row._replace(look_up_only=row.look_up_only or look_up_only) if row.identity == call.due.identity else row


def _put(queues: tuple[Queue, ...], n: int, queue: Queue) -> tuple[Queue, ...]:
    return (*queues[:n], queue, *queues[n + 1 :])

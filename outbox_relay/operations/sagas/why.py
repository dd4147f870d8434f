"""Why a saga waits: the first hop or task on the way to an answer at which something has not happened yet.

From the saga's status follow the answers that it waits for. From each answer the search goes back, by what makes the
event: a command, which a reaction to another event or a task gives. It ends at what is there. An event that is there
and was not received is a hop that stands; a due row is a task that has not succeeded. Of several, the one that an
operator can mend comes first.

    answer is there        its hop to the saga's service stands
    a task would make it   its due row, with attempts and the last error; without a row, the event that asks for it
    a reaction would       the hop of the event that it reacts to, where that is there
"""

from collections.abc import Iterator, Sequence
from datetime import UTC

from outbox_relay.databases import short_name
from outbox_relay.operations.sagas.causes import FIRST, PLACEHOLDER, RUNBOOK, Cause, Found, Why
from outbox_relay.operations.sagas.facts import Fact, Facts, Receipt, Received
from outbox_relay.operations.sagas.programs import USUAL, Hop, away, consumer_stands, relay_stands
from outbox_relay.operations.sagas.steps import open_answers
from outbox_relay.operations.tasks.due import Due
from waybill.sagas.saga import NONE, Saga, SagaTask, short


def handled(facts: Facts, key: str) -> set[tuple[str, str]]:
    """Return (service, event type) for what was received for good. Services by their full names."""
    full = {short_name(one): one for one in facts.saga.services}
    return {
        (full[one.service], fact.event.event_type)
        for fact in facts.events.get(key, ())
        for one in fact.received
        if one.receipt.settled
    }


def status_of(saga: Saga, facts: Facts, key: str, kind: str) -> str | None:
    """Return the status of one of the saga's aggregates; None where its events do not say it."""
    *_, last = [NONE, *saga.path(kind, [one.event.event_type for one in facts.of_kind(key, kind)])]
    return last


def why(facts: Facts, key: str, status: str) -> list[Why]:
    """Return all that keeps a saga in its status, what an operator can mend first; nothing where it has ended."""
    if status in facts.saga.own.ends:
        return []
    search = Search(facts, key)
    told: list[Why] = []
    for kind, reactions in open_answers(facts.saga, status, handled(facts, key)).items():
        answers = [one.on for one in reactions]
        by = short_name(facts.saga.by_kind[kind].service)
        found = list(search.keeping(answers)) or [search.nothing(by)]
        told += [_told(one, answers, by) for one in dict.fromkeys(found)]
    return sorted(told, key=lambda one: FIRST[one.cause])


def _told(one: Found, answers: Sequence[str], by: str) -> Why:
    names = [short(answer) for answer in answers]
    says = f"it waits for {' or '.join(names)} of {by}: {one.says}"
    return Why(one.cause, one.service, names, by, one.event, one.task, one.since, says, one.next, RUNBOOK[one.cause])


class Search:
    """Go back from the answers of one key to what stands."""

    def __init__(self, facts: Facts, key: str) -> None:
        self._facts, self._key, self._saga = facts, key, facts.saga

    def keeping(self, answers: Sequence[str]) -> Iterator[Found]:
        """Yield what keeps these events from the saga's service."""
        there = [fact for answer in answers for fact in self._facts.of_type(self._key, answer)]
        own = short_name(self._saga.own.service)
        hops = [found for fact in there for found in self._hop(fact, own)]
        yield from hops
        if not there:
            seen: set[str] = set()
            for answer in answers:
                yield from self._making(answer, seen)

    def nothing(self, service: str) -> Found:
        """Return that nothing is found which it could wait for."""
        if reason := self._facts.away.get(service):
            return away(service, reason)
        newest = max((one.event.recorded_at for one in self._facts.events.get(self._key, ())), default=None)
        if newest and self._facts.now - newest < USUAL:
            return Found(
                Cause.ON_ITS_WAY, service, "it moved a moment ago", f"outbox status --service {service}", newest
            )
        return Found(
            Cause.NOTHING_FOUND,
            service,
            "all that it follows from was received, and nothing is due there",
            f"outbox verify --service {service} --since 2h",
            newest,
        )

    def _making(self, event_type: str, seen: set[str]) -> Iterator[Found]:
        """Yield what keeps a service from making an event that is not there."""
        if event_type in seen:
            return
        seen.add(event_type)
        event = self._saga.by_type[event_type]
        commands = {one.command for one in self._saga.decisions if event_type in one.events}
        service = short_name(event.service)
        reason = self._facts.away.get(service)
        for task in self._saga.tasks if reason is None else ():
            if task.service == event.service and commands & set(task.commands):
                yield from self._by_task(task, event.aggregate, seen)
        for reaction in self._saga.reactions:
            if reaction.service == event.service and reaction.command in commands:
                trigger = self._facts.of_type(self._key, reaction.on)
                for fact in trigger:
                    yield from self._hop(fact, service)
                if not trigger and self._saga.by_type[reaction.on].aggregate != self._saga.aggregate:
                    yield from self._making(reaction.on, seen)

    def _by_task(self, task: SagaTask, aggregate: str, seen: set[str]) -> Iterator[Found]:
        """Yield the due rows of a task; without one, what keeps the event that asks for it."""
        place = (short_name(task.service), task.task)
        due = [one for one in self._facts.due.get(self._key, ()) if (one.service, one.task) == place]
        yield from map(self._task, due)
        if not due and aggregate != self._saga.aggregate:
            yield from self._making(task.on, seen)

    def _task(self, due: Due) -> Found:
        name, key, service = due.task, self._key, due.service
        if due.attention_since is not None:
            return Found(
                Cause.NEEDS_ATTENTION,
                service,
                f"{name} needs an operator after {due.attempts} attempts: {due.last_error}; {due.remediation}",
                f"outbox attention --service {service}",
                due.attention_since,
                None,
                name,
            )
        if due.attempts and due.last_error:
            return Found(
                Cause.TASK_FAILING,
                service,
                f"{name} has failed {due.attempts} times and is tried again by itself: {due.last_error}",
                f"outbox tasks --service {service} --key {key}",
                due.first_attempt_at,
                None,
                name,
            )
        late = due.due_at + USUAL < self._facts.now
        if late:
            said = "no worker has attempted it"
        elif due.attempts:
            said = "its attempt is under way"
        else:
            said = f"it is due at {due.due_at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
        cause = Cause.TASK_DUE if late else Cause.ON_ITS_WAY
        return Found(cause, service, f"{name}: {said}", f"outbox status --service {service}", due.due_at, None, name)

    def _hop(self, fact: Fact, to: str) -> Iterator[Found]:
        """Yield what keeps an event that is there from a service; nothing where it was received."""
        received = fact.at(to)
        if received is None or received.receipt.settled:
            return
        name = short(fact.event.event_type)
        if received.receipt is Receipt.DEAD_LETTER:
            yield self._message(received, name)
        elif not fact.published:
            yield self._unpublished(fact, name)
        elif received.receipt is Receipt.UNKNOWN:
            yield away(to, self._facts.away.get(to, ""), name)
        else:
            hop = Hop(name, f"{name} is published", fact.event.recorded_at, self._facts.now)
            yield consumer_stands(self._facts.status_of(to), to, fact.event.topic or "", hop)

    def _message(self, received: Received, name: str) -> Found:
        service = received.service
        place = f", partition {received.partition}, offset {received.offset}" if received.offset is not None else ""
        return Found(
            Cause.MESSAGE_DEAD_LETTER,
            service,
            f"{name} is a dead letter at {service}{place}: {received.reason}",
            f"outbox redrive --service {service} --messages --key {self._key} {PLACEHOLDER}",
            received.at,
            name,
        )

    def _unpublished(self, fact: Fact, name: str) -> Found:
        service, since = fact.event.service, fact.event.recorded_at
        if fact.stands.startswith("dead letter"):
            return Found(
                Cause.PUBLICATION_DEAD_LETTER,
                service,
                f"the broker refused {name}, or an event of its key before it: {fact.refusal or fact.stands}",
                f"outbox redrive --service {service} --publications --key {self._key} {PLACEHOLDER}",
                since,
                name,
            )
        if fact.stands == "discarded":
            return Found(
                Cause.NOTHING_FOUND,
                service,
                f"an operator discarded {name}: it never reaches its topic",
                f"outbox show {fact.event.event_id} --service {service}",
                since,
                name,
            )
        status = self._facts.status_of(service)
        return relay_stands(status, service, Hop(name, f"{name} is not published", since, self._facts.now))

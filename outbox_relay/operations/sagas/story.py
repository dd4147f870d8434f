"""The whole story of one saga over all services: what happened, who heard, what is due, what remains, and why."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg

from outbox_relay.databases import full_name, short_name
from outbox_relay.operations.sagas import facts as all_facts
from outbox_relay.operations.sagas import followers, steps
from outbox_relay.operations.sagas.causes import Why
from outbox_relay.operations.sagas.facts import Fact, Facts, Received
from outbox_relay.operations.sagas.followers import Follower
from outbox_relay.operations.sagas.steps import Position, Step
from outbox_relay.operations.sagas.why import handled, status_of, why
from outbox_relay.operations.tasks.due import Due
from waybill.sagas.saga import NONE, Saga, short

AFTER = timedelta(microseconds=1)  # an event is told after its cause, whatever the clocks of two servers say


@dataclass(frozen=True, slots=True)
class StoryEvent:
    """One event as its story tells it.

    `made_by`: the worker's task whose attempt led to it, where one did: a call outside, such as a provider's or a mail
    server's. `to`: the saga's status after it, where that changed. `stands`: published, waiting, private, discarded or
    a dead letter. `partition` and `offset` where they are known.
    """

    service: str
    position: int
    event_id: UUID
    event_type: str
    aggregate: str
    version: int
    recorded_at: datetime
    topic: str | None
    partition: int | None
    offset: int | None
    stands: str
    refusal: str | None
    received: Sequence[Received]
    made_by: str | None
    to: str | None
    correlation_id: str | None
    causation_id: str | None
    payload: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Return the type without its namespace."""
        return short(self.event_type)


@dataclass(frozen=True, slots=True)
class Story:
    """One saga. `why`: what keeps it, what an operator can mend first; `away`: the databases that did not answer.

    `followers`: what it led to beside its own steps. `log_filter`: the line of a program's log that belongs to it has
    this in it.
    """

    saga: str
    key: str
    status: str | None
    since: datetime | None
    ended: bool
    events: Sequence[StoryEvent]
    due: Sequence[Due]
    followers: Sequence[Follower]
    remaining: Sequence[Step]
    why: Sequence[Why]
    correlation_ids: Sequence[str]
    log_filter: str
    away: Mapping[str, str]


def story(saga: Saga, connections: Mapping[str, psycopg.Connection], away: Mapping[str, str], key: str) -> Story | None:
    """Return the story of one key; None where no database that answers has an event of it.

    `connections`: short name of a service → its open connection; `away`: why there is none to the others. A connection
    that fails on the way is told in the story's `away`.
    """
    facts = all_facts.read(saga, connections, away, [key])
    if not facts.events.get(key):
        return None
    status, since = stands(facts, key)
    ordered = in_sequence(facts.events[key])
    ids = dict.fromkeys(one.event.metadata.get("correlation_id") for one in ordered)
    correlation_ids = [one for one in ids if one]
    return Story(
        saga.aggregate,
        key,
        status,
        since,
        status in saga.own.ends,
        list(_told(facts, key, ordered)),
        facts.due.get(key, []),
        followers.read(facts, key),
        steps.remaining(saga, position(facts, key)) if status else [],
        why(facts, key, status) if status else [],
        correlation_ids,
        " or ".join(f'"correlation_id": "{one}"' for one in correlation_ids),
        facts.away,
    )


def stands(facts: Facts, key: str) -> tuple[str | None, datetime | None]:
    """Return the saga's status and since when; None where the saga's own database is away, or says it in no event."""
    own = facts.of_kind(key, facts.saga.aggregate)
    if not own:
        return None, None
    path = list(facts.saga.path(facts.saga.aggregate, [one.event.event_type for one in own]))
    status = path[-1]
    entered = len(path) - 1
    while entered and path[entered - 1] == status:
        entered -= 1
    return status, own[entered].event.recorded_at


def position(facts: Facts, key: str) -> Position:
    """Return where the saga's aggregates stand, for what remains."""
    kinds = [one.kind for one in facts.saga.aggregates]
    statuses = {kind: status_of(facts.saga, facts, key, kind) or NONE for kind in kinds}
    events = [one.event.event_type for one in in_sequence(facts.events.get(key, ()))]
    return Position(statuses, events, handled(facts, key))


def in_sequence(events: Sequence[Fact]) -> list[Fact]:
    """Return events by time, each after its cause and after the versions before it."""
    by_id = {str(one.event.event_id): one for one in events}
    before = {(one.event.aggregate_type, one.event.aggregate_version): str(one.event.event_id) for one in events}
    told_at: dict[str, datetime] = {}

    def at(event_id: str) -> datetime:
        if event_id not in told_at:
            event = by_id[event_id].event
            told_at[event_id] = event.recorded_at  # a circle of causes ends here
            causes = [
                event.metadata.get("causation_id"),
                before.get((event.aggregate_type, event.aggregate_version - 1)),
            ]
            earliest = [at(cause) + AFTER for cause in causes if cause in by_id]
            told_at[event_id] = max([event.recorded_at, *earliest])
        return told_at[event_id]

    return sorted(events, key=lambda one: (at(str(one.event.event_id)), one.event.aggregate_version))


def _told(facts: Facts, key: str, ordered: Sequence[Fact]) -> Iterator[StoryEvent]:
    saga = facts.saga
    types = {str(one.event.event_id): one.event.event_type for one in ordered}
    own = facts.of_kind(key, saga.aggregate)
    path = [NONE, *saga.path(saga.aggregate, [one.event.event_type for one in own])]
    to = {one.event.event_id: after for one, before, after in zip(own, path, path[1:], strict=False) if after != before}
    for one in ordered:
        event = one.event
        placed = next((each for each in one.received if each.offset is not None), None)
        cause = event.metadata.get("causation_id")
        yield StoryEvent(
            event.service,
            event.position,
            event.event_id,
            event.event_type,
            event.aggregate_type,
            event.aggregate_version,
            event.recorded_at,
            event.topic,
            placed.partition if placed else None,
            placed.offset if placed else None,
            one.stands,
            one.refusal,
            one.received,
            _made_by(saga, event.service, event.event_type, types.get(cause or "")),
            to.get(event.event_id),
            event.metadata.get("correlation_id"),
            cause,
            event.fields(),
        )


def _made_by(saga: Saga, service: str, event_type: str, cause: str | None) -> str | None:
    """Return the task that was asked for by the event's cause and whose commands make such an event."""
    commands = {one.command for one in saga.decisions if event_type in one.events}
    for task in saga.tasks:
        if task.service == full_name(service) and task.on == cause and commands & set(task.commands):
            return task.task
    return None


def services(saga: Saga) -> list[str]:
    """Return the short names of the services that have a part in the saga."""
    return [short_name(one) for one in saga.services]

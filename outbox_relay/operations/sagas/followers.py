"""What a saga leads to beside its own steps: aggregates of other kinds whose rows name its key, such as each delivery.

The saga's file says in which table they are, and in which column they name the key. Their events are found by their own
keys, and what is still to be tried of one by its due row. A row that its service has removed by now is not found.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import psycopg
from psycopg import sql
from psycopg.rows import class_row

from outbox_relay.databases import short_name
from outbox_relay.operations.events import listing
from outbox_relay.operations.events.listing import ListedEvent
from outbox_relay.operations.sagas.facts import Facts, ask
from outbox_relay.operations.tasks import due
from outbox_relay.operations.tasks.due import Due
from waybill.sagas.saga import SagaFollower, short

MOST: Final = 200  # of one kind
ROWS: Final = "SELECT {key}::text FROM {table} WHERE {names} = %(saga)s ORDER BY {key} LIMIT %(most)s"
# By the unique index on aggregate and version.
EVENTS: Final = f"""
SELECT {listing.EVENT} FROM waybill_outbox WHERE aggregate_type = %(kind)s AND aggregate_id = ANY(%(keys)s)
ORDER BY position
"""  # noqa: S608 - put together from constants


@dataclass(frozen=True, slots=True)
class FollowerEvent:
    """One event of it: what happened, when, and what it says."""

    event_id: UUID
    event_type: str
    recorded_at: datetime
    payload: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Return the type without its namespace."""
        return short(self.event_type)


@dataclass(frozen=True, slots=True)
class Follower:
    """One aggregate that the saga led to: what happened to it, and what of it is due, with attempts and last error."""

    service: str
    kind: str
    key: str
    events: Sequence[FollowerEvent]
    due: Sequence[Due]

    @property
    def since(self) -> datetime:
        """Return when it began."""
        return self.events[0].recorded_at

    @property
    def stands(self) -> str:
        """Say where it stands, and what comes next."""
        last = self.events[-1]
        if not self.due:
            return f"{last.name}{_told(last.payload)}"
        return "; ".join(f"{last.name}: {_next(one)}" for one in self.due)


def _next(one: Due) -> str:
    at = f"{one.due_at:%Y-%m-%dT%H:%M:%SZ}"
    if one.attention_since is not None:
        return f"{one.task} needs an operator after {one.attempts} attempts: {one.last_error}"
    if one.attempts and one.last_error:
        return f"{one.task} has failed {one.attempts} times ({one.last_error}) and is tried again at {at}"
    return f"{one.task}'s attempt is under way" if one.attempts else f"{one.task} is due at {at}"


def _told(payload: Mapping[str, Any]) -> str:
    """Return the stable code that an event of a failure says, where it has one."""
    code = payload.get("code")
    return f" ({code})" if code else ""


def read(facts: Facts, key: str) -> list[Follower]:
    """Return what the saga of a key led to, oldest first; where a database does not answer, the others'."""
    found: list[Follower] = []
    for follower in facts.saga.followers:
        service = short_name(follower.service)
        found += ask(facts, service, lambda open_, one=follower: _of_kind(one, open_, key))
    return sorted(found, key=lambda one: (one.since, one.key))


def _of_kind(follower: SagaFollower, connection: psycopg.Connection, key: str) -> list[Follower]:
    service = short_name(follower.service)
    rows = sql.SQL(ROWS).format(
        key=sql.Identifier(follower.key), table=sql.Identifier(follower.table), names=sql.Identifier(follower.names)
    )
    keys = [one for (one,) in connection.execute(rows, {"saga": key, "most": MOST})]
    with connection.cursor(row_factory=class_row(ListedEvent)) as cursor:
        values = {"service": service, "kind": follower.kind, "keys": keys}
        events = cursor.execute(EVENTS, values).fetchall() if keys else []
    waiting = due.of_events(service, connection, [one.event_id for one in events])
    of_key = {one.event_id: one.aggregate_id for one in events}
    return [
        Follower(
            service,
            follower.kind,
            one,
            [
                FollowerEvent(event.event_id, event.event_type, event.recorded_at, event.fields())
                for event in events
                if event.aggregate_id == one
            ],
            [task for task in waiting if of_key[task.event_id] == one],
        )
        for one in dict.fromkeys(event.aggregate_id for event in events)
    ]

"""What all databases know of some sagas, by their keys: events, who received them, what is due. One SELECT per table.

A database that does not answer costs its own facts, not the others'. What cannot be told for that reason is said so by
those who read the facts: an event that a service without an answer should have received is UNKNOWN, not awaited.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import partial
from typing import Any, Final, TypeVar
from uuid import UUID

import psycopg
from psycopg.rows import dict_row

from outbox_relay.databases import full_name, short_name
from outbox_relay.operations import names
from outbox_relay.operations.events import listing
from outbox_relay.operations.events.listing import ListedEvent
from outbox_relay.operations.parts import has_inbox
from outbox_relay.operations.status import Status, read_status
from outbox_relay.operations.tasks import due
from outbox_relay.operations.tasks.due import Due
from waybill.database.sqlstate import one_line
from waybill.sagas.saga import Saga

# By the unique index on aggregate and version.
EVENTS: Final = f"""
SELECT waybill_outbox.*, {listing.STANDS} AS stands,
       published.headers->>'reason' || ': ' || (published.headers->>'detail') AS refusal
FROM waybill_outbox_cursor AS cursor, (
    SELECT {listing.EVENT} FROM waybill_outbox WHERE aggregate_type = ANY(%(kinds)s) AND aggregate_id = ANY(%(keys)s)
) AS waybill_outbox LEFT JOIN published ON published.id = waybill_outbox.event_id
ORDER BY aggregate_type, aggregate_id, aggregate_version
"""  # noqa: S608 - put together from constants
# -1 is django_outbox_pattern's FAILED.
RECEIVED: Final = """
SELECT msg_id, status = -1 AS dead, added, headers->>'reason' AS reason, headers->>'place' AS place
FROM received WHERE msg_id = ANY(%s)
"""
DECIDED: Final = """
SELECT event_id, kind FROM waybill_operator_decision
WHERE event_id = ANY(%s) AND kind IN ('discarded_message', 'skipped_record')
"""
REMEMBERS: Final = "SELECT min(added) FROM received"
ON_THE_WAY: Final = timedelta(hours=1)  # from the event's time to its receipt, where nobody remembers the receipt


class Receipt(StrEnum):
    """What became of an event at a service that reacts to it."""

    HANDLED = "handled"
    """Final."""
    DEAD_LETTER = "dead letter"
    """An operator redrives or discards it."""
    DISCARDED = "discarded"
    """Final: an operator did without it."""
    SKIPPED = "skipped"
    """Final: an operator let the consumer pass it."""
    AWAITED = "not received yet"
    """The relay and the consumer bring it, unless something keeps them."""
    FORGOTTEN = "received before the inbox remembers"
    """Final: the inbox keeps WAYBILL_INBOX_DAYS."""
    UNKNOWN = "unknown"
    """The service's database does not answer."""

    @property
    def settled(self) -> bool:
        """Tell whether nothing of it is awaited any more."""
        return self in {Receipt.HANDLED, Receipt.DISCARDED, Receipt.SKIPPED, Receipt.FORGOTTEN}


DECISIONS: Final = {"discarded_message": Receipt.DISCARDED, "skipped_record": Receipt.SKIPPED}
Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Received:
    """An event at one service; `partition` and `offset` of a dead letter only: of others the inbox keeps the id."""

    service: str
    receipt: Receipt
    at: datetime | None = None
    reason: str | None = None
    partition: int | None = None
    offset: int | None = None


@dataclass(frozen=True, slots=True)
class Fact:
    """One event: its row, whether it is published, and who received it. `stands`: as `outbox show` says it."""

    event: ListedEvent
    stands: str
    refusal: str | None
    received: Sequence[Received] = ()

    @property
    def published(self) -> bool:
        """Tell whether its topic has it, as far as the relay knows."""
        return self.stands == "published"

    def at(self, service: str) -> Received | None:
        """Return what became of it at a service; None where that does not react to it."""
        return next((one for one in self.received if one.service == service), None)


@dataclass(slots=True)
class Facts:
    """What was found, by key; `away`: service → why its database did not answer."""

    saga: Saga
    connections: Mapping[str, psycopg.Connection]
    away: dict[str, str]
    now: datetime
    events: dict[str, list[Fact]] = field(default_factory=dict[str, list[Fact]])
    due: dict[str, list[Due]] = field(default_factory=dict[str, list[Due]])
    _status: dict[str, Status | None] = field(default_factory=dict[str, Status | None])

    def of_kind(self, key: str, kind: str) -> list[Fact]:
        """Return the events of one aggregate, by version."""
        return [one for one in self.events.get(key, ()) if one.event.aggregate_type == kind]

    def of_type(self, key: str, event_type: str) -> list[Fact]:
        """Return the events of one type."""
        return [one for one in self.events.get(key, ()) if one.event.event_type == event_type]

    def status_of(self, service: str) -> Status | None:
        """Return how a service's outbox and programs do, asked once; None where its database does not answer."""
        if service not in self._status:
            self._status[service] = None
            if service in self.connections and service not in self.away:
                with suppress(psycopg.Error):
                    self._status[service] = read_status(service, self.connections[service])
        return self._status[service]


def read(
    saga: Saga, connections: Mapping[str, psycopg.Connection], away: Mapping[str, str], keys: Collection[str]
) -> Facts:
    """Return what the databases know of these keys. A service is called by its short name, as databases are."""
    facts = Facts(saga, connections, dict(away), datetime.now(UTC))
    services = [short_name(one) for one in saga.services]
    for service in services:
        if service not in connections:
            facts.away.setdefault(service, "no database is known for it")
    rows = {service: ask(facts, service, partial(_events, saga, service, keys)) for service in services}
    every = [row for found in rows.values() for row in found]
    received = _received(facts, every)
    for row in every:
        stands, refusal = row.pop("stands"), row.pop("refusal")
        event = ListedEvent(**row)
        fact = Fact(event, stands, refusal, received.get(event.event_id, []))
        facts.events.setdefault(event.aggregate_id, []).append(fact)
    key_of = {row["event_id"]: row["aggregate_id"] for row in every}
    for service, found in rows.items():
        events = [row["event_id"] for row in found]
        for one in ask(facts, service, partial(due.of_events, service, events=events)):
            facts.due.setdefault(key_of[one.event_id], []).append(one)
    return facts


def ask(facts: Facts, service: str, question: Callable[[psycopg.Connection], list[Answer]]) -> list[Answer]:
    """Put a question to a service that is not away; one that fails to answer is, from now on, and has none."""
    if service in facts.away:
        return []
    try:
        return question(facts.connections[service])
    except psycopg.Error as error:
        facts.away[service] = one_line(error)
        return []


def _events(saga: Saga, service: str, keys: Collection[str], connection: psycopg.Connection) -> list[dict[str, Any]]:
    kinds = [one.kind for one in saga.aggregates if short_name(one.service) == service]
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(EVENTS, {"service": service, "kinds": kinds, "keys": list(keys)}).fetchall()


def _received(facts: Facts, events: Sequence[Mapping[str, Any]]) -> dict[UUID, list[Received]]:
    """Return event → what became of it at each service that reacts to it."""
    found: dict[UUID, list[Received]] = {}
    for service in map(short_name, facts.saga.services):
        wanted = [one for one in events if full_name(service) in facts.saga.readers(one["event_type"]) and one["topic"]]
        if not wanted:
            continue
        caused = {one["metadata"].get("causation_id") for one in events if one["service"] == service}
        inbox = ask(facts, service, partial(_inbox, service, wanted, caused))
        if service in facts.away:
            inbox = [(one["event_id"], Received(service, Receipt.UNKNOWN)) for one in wanted]
        for event_id, one in inbox:
            found.setdefault(event_id, []).append(one)
    return found


def _inbox(
    service: str, events: Sequence[Mapping[str, Any]], caused: Collection[str | None], connection: psycopg.Connection
) -> list[tuple[UUID, Received]]:
    """Return what an inbox has of these events; one that led to an event there was handled, whatever it remembers."""
    if not has_inbox(connection):
        return []
    group = names.recorded(service, connection).group
    ids = {f"{group}:{one['event_id']}": one["event_id"] for one in events}
    with connection.cursor(row_factory=dict_row) as cursor:
        rows = {ids[row["msg_id"]]: row for row in cursor.execute(RECEIVED, [list(ids)])}
    decided = dict(connection.execute(DECIDED, [list(ids.values())]).fetchall())
    (remembers,) = connection.execute(REMEMBERS).fetchone() or (None,)

    def judged(one: Mapping[str, Any]) -> Received:
        event_id, row = one["event_id"], rows.get(one["event_id"])
        if event_id in decided:
            return Received(service, DECISIONS[decided[event_id]], row["added"] if row else None)
        if row and row["dead"]:
            _, partition, offset = row["place"].rsplit("/", 2)
            return Received(service, Receipt.DEAD_LETTER, row["added"], row["reason"], int(partition), int(offset))
        if row or str(event_id) in caused:
            return Received(service, Receipt.HANDLED, row["added"] if row else None)
        forgotten = remembers is not None and one["recorded_at"] < remembers - ON_THE_WAY
        return Received(service, Receipt.FORGOTTEN if forgotten and one["stands"] == "published" else Receipt.AWAITED)

    return [(one["event_id"], judged(one)) for one in events]

"""Which sagas wait: every one that has not ended, with its step, its age there, and why. By pages, oldest first.

The rows of the saga's own aggregate say which are open (there is an index of these alone); their keys rise with time,
so a page goes on behind a key. Everything else is read for a page at once, however many services there are.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import psycopg
from psycopg import sql

from outbox_relay.databases import short_name
from outbox_relay.operations.sagas import facts as all_facts
from outbox_relay.operations.sagas.causes import Why
from outbox_relay.operations.sagas.story import stands
from outbox_relay.operations.sagas.why import why
from waybill.sagas.saga import Saga

# The statuses stand in the statement: a plan for unknown ones would not use the index of open rows.
OPEN: Final = """
SELECT {key}::text FROM {table}
WHERE status IN ({statuses}) AND (%(after)s::text IS NULL OR {key} > %(after)s::{kind})
  AND (%(created_before)s::timestamptz IS NULL OR created_at <= %(created_before)s)
ORDER BY {key} LIMIT %(limit)s
"""
KIND: Final = "SELECT format_type(atttypid, NULL) FROM pg_attribute WHERE attrelid = %s::regclass AND attname = %s"
CHUNK: Final = 500  # keys that are judged at once
MOST_CHUNKS: Final = 20  # for one page: where a filter leaves nothing, the page ends and says where to go on


@dataclass(frozen=True, slots=True)
class Waiting:
    """One saga that has not ended: its step, since when, and why it is there still."""

    key: str
    status: str
    since: datetime
    age_seconds: float
    why: Why


@dataclass(frozen=True, slots=True)
class Choice:
    """Which are meant: in one of these statuses, as long in it at least, waiting for one of these causes."""

    statuses: Sequence[str] = ()
    older_than: timedelta = timedelta()
    causes: Sequence[str] = ()
    services: Sequence[str] = ()
    """At which what keeps them stands."""


@dataclass(frozen=True, slots=True)
class Page:
    """A page of them; `after`: the key behind which the next one begins, None where this is the last.

    `away`: the databases that did not answer, so that nobody can tell what happened there.
    """

    waiting: Sequence[Waiting]
    after: str | None
    away: Mapping[str, str]


def waiting(
    saga: Saga,
    connections: Mapping[str, psycopg.Connection],
    away: Mapping[str, str],
    choice: Choice | None = None,
    *,
    after: str | None = None,
    limit: int = 100,
) -> Page:
    """Return the next sagas that wait, behind a key. Raises psycopg.Error where the saga's own database fails.

    Raises KeyError where there is no connection to that database.
    """
    choice = choice or Choice()
    found: list[Waiting] = []
    gone = dict(away)
    chunk = limit if choice == Choice() else max(limit, CHUNK)
    for _ in range(MOST_CHUNKS):
        keys = open_keys(saga, connections, choice, after, chunk)
        facts = all_facts.read(saga, connections, gone, keys)
        gone = facts.away
        for key in keys:
            after = key
            one = _judged(facts, key)
            if one is not None and _meant(one, choice):
                found.append(one)
                if len(found) == limit:
                    return Page(found, after, gone)
        if len(keys) < chunk:
            return Page(found, None, gone)
    return Page(found, after, gone)


def judged(
    saga: Saga, connections: Mapping[str, psycopg.Connection], away: Mapping[str, str], keys: Sequence[str]
) -> dict[str, Waiting]:
    """Return key → why it waits, of these that do; one whose own database is away is left out."""
    facts = all_facts.read(saga, connections, away, keys)
    found = ((key, _judged(facts, key)) for key in keys)
    return {key: one for key, one in found if one is not None}


def open_keys(
    saga: Saga, connections: Mapping[str, psycopg.Connection], choice: Choice, after: str | None, limit: int
) -> list[str]:
    """Return the next keys of rows in an open status, lowest first. Raises psycopg.Error."""
    own = saga.own
    connection = connections[short_name(own.service)]
    (kind,) = connection.execute(KIND, (own.table, own.key)).fetchone() or ("text",)
    statement = sql.SQL(OPEN).format(
        key=sql.Identifier(own.key),
        table=sql.Identifier(own.table),
        kind=sql.SQL(kind),
        statuses=sql.SQL(", ").join(map(sql.Literal, choice.statuses or own.open)),
    )
    (now,) = connection.execute("SELECT clock_timestamp()").fetchone() or (None,)
    before = now - choice.older_than if now and choice.older_than else None
    values = {"after": after, "limit": limit, "created_before": before}
    return [key for (key,) in connection.execute(statement, values)]


def _judged(facts: all_facts.Facts, key: str) -> Waiting | None:
    status, since = stands(facts, key)
    if status is None or since is None or status in facts.saga.own.ends:
        return None  # it ended while it was read
    reasons = why(facts, key, status)
    if not reasons:
        return None
    return Waiting(key, status, since, (facts.now - since).total_seconds(), reasons[0])


def _meant(one: Waiting, choice: Choice) -> bool:
    return (
        one.age_seconds >= choice.older_than.total_seconds()
        and (not choice.causes or one.why.cause in choice.causes)
        and (not choice.services or one.why.service in choice.services)
    )

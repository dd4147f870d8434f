"""Dead letters on both sides: publications that the broker refused, messages that a service could not handle.

One typed choice picks among them, for `dead-letters`, `redrive` and `discard` alike. Dead letters of one key wait in a
sequence: publications by their position in the outbox, messages by their offset. Only the first of a key was tried; the
others wait behind it. So a choice names dead letters, and two questions follow from it:

    matches    the dead letter is meant by the choice
    released   a redrive may take it: it and all before it in its key match, or wait behind one that does

A match that is not released would overtake an earlier dead letter of its key, which was not chosen: it stays.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, LiteralString, NamedTuple, Self
from uuid import UUID

import psycopg
from psycopg.rows import class_row

# -1, 1 and 2 are django_outbox_pattern's StatusChoice.FAILED, SCHEDULE and SUCCEEDED.
PUBLICATIONS: Final = """
SELECT id AS row_id, 'publication' AS kind, id::text AS event_id, body->>'event_type' AS event_type,
       destination AS topic, body->>'aggregate_id' AS key, (body->>'aggregate_version')::int AS version,
       NULL::int AS "partition", NULL::bigint AS "offset", (body->>'position')::bigint AS position,
       CASE WHEN status = 1 THEN 'redriven, not sent yet' ELSE headers->>'reason' || ': ' || (headers->>'detail') END
           AS reason,
       status = 1 OR headers->>'reason' = 'behind' AS behind, status = 1 AS redriven, added AS dead_lettered_at,
       body->>'aggregate_type' || '/' || (body->>'aggregate_id') AS ordering_key,
       row_number() OVER (PARTITION BY body->>'aggregate_type', body->>'aggregate_id'
                          ORDER BY (body->>'position')::bigint) AS nth
FROM published WHERE status <> 2 {within}
"""
# A key has messages in two partitions where its topic has grown: all that it had in the old one came first.
MESSAGES: Final = r"""
SELECT id AS row_id, 'message' AS kind, headers->'record'->>'ce_id' AS event_id,
       headers->'record'->>'ce_type' AS event_type, topic, key,
       CASE WHEN headers->'record'->>'ce_sequence' ~ '^\d{1,9}$' THEN (headers->'record'->>'ce_sequence')::int END
           AS version,
       "partition", "offset", NULL::bigint AS position, headers->>'reason' AS reason,
       headers->>'reason' LIKE 'behind %%' AS behind, false AS redriven, added AS dead_lettered_at,
       topic || ' ' || key AS ordering_key,
       row_number() OVER (PARTITION BY topic, key ORDER BY begins, "partition", "offset") AS nth
FROM (SELECT *, min(added) OVER (PARTITION BY topic, key, "partition") AS begins
      FROM (SELECT *, headers->>'topic' AS topic, headers->>'key' AS key,
                   split_part(headers->>'place', '/', 2)::int AS "partition",
                   split_part(headers->>'place', '/', 3)::bigint AS "offset"
            FROM received WHERE status = -1 {within}) AS located) AS begun
"""
MATCHES: Final = """
    kind = ANY(%(kinds)s::text[])
AND (%(topic)s::text IS NULL OR topic = %(topic)s)
AND (%(partition)s::int IS NULL OR "partition" = %(partition)s)
AND (%(offset)s::bigint IS NULL OR "offset" = %(offset)s)
AND (%(keys)s::text[] IS NULL OR key = ANY(%(keys)s))
AND (%(events)s::text[] IS NULL OR event_id = ANY(%(events)s))
AND (%(types)s::text[] IS NULL OR coalesce(event_type, '') = ANY(%(types)s)
     OR substring(event_type FROM '[^.]*$') = ANY(%(types)s))
AND (%(reasons)s::text[] IS NULL
     OR EXISTS (SELECT FROM unnest(%(reasons)s::text[]) AS part WHERE strpos(reason, part) > 0))
AND (%(classes)s::text[] IS NULL OR reason_class = ANY(%(classes)s))
AND (%(until)s::timestamptz IS NULL OR dead_lettered_at <= %(until)s)
"""
# Whole keys, by the narrow table that triggers keep: the JSON of all others is not read.
WITHIN: Final = """
AND id = ANY(ARRAY(
    SELECT row_id FROM waybill_dead_letter WHERE (kind, ordering_key) IN (
        SELECT kind, ordering_key FROM waybill_dead_letter
        WHERE (%(topic)s::text IS NULL OR topic = %(topic)s)
        AND (%(keys)s::text[] IS NULL OR key = ANY(%(keys)s))
        AND (%(classes)s::text[] IS NULL OR reason_class = ANY(%(classes)s))
        AND (%(types)s::text[] IS NULL OR event_type = ANY(%(types)s)
             OR substring(event_type FROM '[^.]*$') = ANY(%(types)s)))))
"""
# Whole keys of one kind, as the narrow table calls them.
OF_KEYS: Final = """
AND id = ANY(ARRAY(SELECT row_id FROM waybill_dead_letter
                   WHERE kind = %(walked)s AND ordering_key = ANY(%(ordering_keys)s)))
"""
LONGEST: Final = 250  # characters of a type, topic or key that the narrow table has whole
LISTS: Final = ("keys", "events", "types", "reasons", "classes")
CHOSEN: Final = f"""
SELECT row_id, %(service)s::text AS service, kind, event_id, event_type, topic, key, version, "partition", "offset",
       position, reason, dead_lettered_at,
       round(date_part('epoch', clock_timestamp() - dead_lettered_at)::numeric, 3)::float AS age_seconds,
       matches, released,
       redriven
FROM (SELECT *, bool_and(matches OR (behind AND nth > 1))
                 OVER (PARTITION BY kind, ordering_key ORDER BY nth) AS released
      FROM (SELECT *, coalesce({MATCHES}, false) AS matches
            FROM (SELECT *, CASE WHEN redriven THEN 'redriven' WHEN behind THEN 'behind'
                                 ELSE left(split_part(reason, ':', 1), 100) END AS reason_class
                  FROM (({PUBLICATIONS}) UNION ALL ({MESSAGES})) AS found) AS dead_letter) AS judged) AS reached
WHERE matches OR released
ORDER BY kind DESC, topic, position, key, nth
"""  # noqa: S608 - put together from constants


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A publication or a message that waits for an operator."""

    row_id: UUID
    service: str
    kind: str
    event_id: str | None
    event_type: str | None
    topic: str
    key: str
    version: int | None
    partition: int | None
    offset: int | None
    position: int | None
    reason: str
    dead_lettered_at: datetime
    age_seconds: float
    matches: bool
    released: bool
    redriven: bool

    @property
    def place(self) -> str:
        """Return where it stands: its position in the outbox, or topic, partition and offset."""
        if self.position is not None:
            return f"position {self.position}"
        return f"{self.topic}/{self.partition}/{self.offset}"

    def shown(self) -> dict[str, Any]:
        """Return everything that a program may want to read."""
        hidden = {"row_id", "matches", "released", "redriven"}
        return {name: getattr(self, name) for name in self.__slots__ if name not in hidden} | {"place": self.place}


class Choice(NamedTuple):
    """Which dead letters are meant: all conditions that are given must hold, any of a condition's values."""

    kinds: tuple[str, ...] = ("publication", "message")
    topic: str | None = None
    partition: int | None = None
    offset: int | None = None
    keys: tuple[str, ...] = ()
    events: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    until: datetime | None = None

    @property
    def filters(self) -> dict[str, Any]:
        """Return the conditions that were given, for the record; empty where all dead letters are meant."""
        given = {name: value for name, value in self.values().items() if value is not None}
        if self.until is not None:
            given["until"] = self.until.isoformat()
        return {name: value for name, value in given.items() if name != "kinds"}

    @property
    def statement(self) -> LiteralString:
        """Return what finds them: all dead letters, or the keys that may have one that is meant."""
        return CHOSEN.replace("{within}", WITHIN if self.narrow else "")

    @property
    def of_keys(self) -> LiteralString:
        """Return what finds those of some keys: of `walked`, a kind, and `ordering_keys`."""
        return CHOSEN.replace("{within}", OF_KEYS)

    @property
    def narrow(self) -> bool:
        """Tell whether the narrow table knows what leads to them."""
        named = [*self.types, *self.keys, *self.classes, *([self.topic] if self.topic else [])]
        return bool(named) and all(len(one) <= LONGEST for one in named)

    @classmethod
    def of_filters(cls, filters: Mapping[str, Any], kinds: Sequence[str]) -> Self:
        """Return the choice that `filters` was made of."""
        lists: dict[str, Any] = {name: tuple(filters.get(name, ())) for name in LISTS}
        until = datetime.fromisoformat(filters["until"]) if "until" in filters else None
        single: dict[str, Any] = {name: filters.get(name) for name in ("topic", "partition", "offset")}
        return cls(kinds=tuple(kinds), until=until, **single, **lists)

    def values(self) -> dict[str, Any]:
        """Return what CHOSEN asks for."""
        lists = {name: list(getattr(self, name)) or None for name in LISTS}
        return self._asdict() | lists | {"kinds": list(self.kinds)}


def read(service: str, connection: psycopg.Connection, choice: Choice) -> list[DeadLetter]:
    """Return what matches and what a redrive would release, key by key in sequence. Raises psycopg.Error."""
    with connection.cursor(row_factory=class_row(DeadLetter)) as cursor:
        return cursor.execute(choice.statement, choice.values() | {"service": service}).fetchall()


def ids(letters: Sequence[DeadLetter], kind: str) -> list[UUID]:
    """Return the rows of one kind."""
    return [letter.row_id for letter in letters if letter.kind == kind]

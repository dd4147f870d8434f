"""What operators did, newest first: the rows that `audit` writes, a page at a time."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import psycopg
from psycopg.rows import class_row

READ: Final = """
SELECT %(service)s::text AS service, id, operator, verb, reason, what, acted_at FROM waybill_operator_action
WHERE (%(before)s::timestamptz IS NULL OR (acted_at, id) < (%(before)s, %(before_id)s))
  AND (%(operator)s::text IS NULL OR operator = %(operator)s)
  AND (%(verb)s::text IS NULL OR verb = %(verb)s)
ORDER BY acted_at DESC, id DESC LIMIT %(limit)s
"""


@dataclass(frozen=True, slots=True)
class Action:
    """One action, as it was recorded with what it did."""

    service: str
    id: int
    operator: str
    verb: str
    reason: str
    what: Mapping[str, Any]
    acted_at: datetime


def read(
    service: str,
    connection: psycopg.Connection,
    *,
    limit: int,
    before: tuple[datetime, int] | None = None,
    operator: str | None = None,
    verb: str | None = None,
) -> list[Action]:
    """Return the newest actions, or those before one; of one operator and verb where given. Raises psycopg.Error."""
    at, row_id = before or (None, None)
    values = {"service": service, "before": at, "before_id": row_id, "operator": operator, "verb": verb, "limit": limit}
    with connection.cursor(row_factory=class_row(Action)) as cursor:
        return cursor.execute(READ, values).fetchall()

"""Dead letters in groups: what failed in the same way, how much waits behind it, and since when.

A group is (kind, reason class, event type) of one service. The reason class is the exception's name of a message, the
broker's refusal of a publication. Only the first dead letter of a key was tried, so a group counts those that were, and
apart from them what waits behind them in their keys. Where the first is gone, as after a discard, the others are a
group of their own, `behind`.

Read from `waybill_dead_letter`, which triggers keep beside `received` and `published`: with 200,000 dead letters both
statements are index-only scans, and no JSON is read.
"""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final

import psycopg
from psycopg.rows import class_row

# A key has one dead letter that was tried; where a topic has grown it may have two, and the first by name counts.
GROUPS: Final = """
WITH tried AS (
    SELECT kind, reason_class, event_type, count(*) AS letters,
           min(dead_lettered_at) AS oldest, max(dead_lettered_at) AS newest
    FROM waybill_dead_letter WHERE reason_class <> 'behind' GROUP BY kind, reason_class, event_type
), waiting AS (
    SELECT kind, coalesce(reason_class, 'behind') AS reason_class,
           CASE WHEN reason_class IS NULL THEN first_type ELSE event_type END AS event_type,
           sum(waits)::bigint AS waits, min(oldest) AS oldest, max(newest) AS newest
    FROM (SELECT kind, min(reason_class) FILTER (WHERE reason_class <> 'behind') AS reason_class,
                 min(event_type) FILTER (WHERE reason_class <> 'behind') AS event_type, min(event_type) AS first_type,
                 count(*) FILTER (WHERE reason_class = 'behind') AS waits,
                 min(dead_lettered_at) AS oldest, max(dead_lettered_at) AS newest
          FROM waybill_dead_letter GROUP BY kind, ordering_key) AS by_key
    WHERE waits > 0 GROUP BY 1, 2, 3
)
SELECT %(service)s::text AS service, kind, reason_class, nullif(event_type, '') AS event_type,
       coalesce(letters, waits) AS letters,
       CASE WHEN letters IS NULL THEN 0 ELSE coalesce(waits, 0) END AS behind,
       coalesce(tried.oldest, waiting.oldest) AS oldest, coalesce(tried.newest, waiting.newest) AS newest
FROM tried FULL JOIN waiting USING (kind, reason_class, event_type)
ORDER BY letters DESC, kind, reason_class, event_type
"""


@dataclass(frozen=True, slots=True)
class Group:
    """Dead letters that failed in the same way; `event_type` is None where their records do not say one.

    `letters` were tried and failed, `behind` wait for one of them.
    """

    service: str
    kind: str
    reason_class: str
    event_type: str | None
    letters: int
    behind: int
    oldest: datetime
    newest: datetime

    def shown(self) -> dict[str, Any]:
        """Return it for JSON."""
        return asdict(self)


def read(service: str, connection: psycopg.Connection) -> list[Group]:
    """Return the service's groups, the largest first. Raises psycopg.Error."""
    with connection.cursor(row_factory=class_row(Group)) as cursor:
        return cursor.execute(GROUPS, {"service": service}).fetchall()

"""A model that is read from a standby of PostgreSQL: how far the standby has to be to show a write.

Which database that is, Django's routers say: `db_for_read` names another one than `db_for_write`. The token is the
primary's position in its log after the commit.
"""

import re
from typing import Any, Final

from django.db import connections, models, router

LSN: Final = re.compile(r"[0-9A-F]{1,8}/[0-9A-F]{1,8}")
# Not the flushed one: without synchronous_commit it may be short of what was committed.
POSITION: Final = "SELECT pg_current_wal_insert_lsn()::text"
# A standby that was promoted replays nothing more, and shows its own writes at once.
REPLAYED: Final = "SELECT NOT pg_is_in_recovery() OR pg_last_wal_replay_lsn() >= %s::pg_lsn"


def position(model: type[models.Model]) -> str | None:
    """Return the primary's position in its log, or None where reads are of the primary."""
    primary = router.db_for_write(model)
    if router.db_for_read(model) == primary or connections[primary].vendor != "postgresql":
        return None
    return str(_value(primary, POSITION))


def has_replayed(model: type[models.Model], token: str) -> bool:
    """Tell whether the database that is read has replayed the log to this position; True of what is none."""
    replica = router.db_for_read(model)
    if not LSN.fullmatch(token) or connections[replica].vendor != "postgresql":
        return True
    return bool(_value(replica, REPLAYED, token))


def _value(alias: str, statement: str, *values: str) -> Any:
    with connections[alias].cursor() as cursor:
        cursor.execute(statement, values)
        return cursor.fetchone()[0]

"""Tests end with an empty database, a thousand times: only the tables that were written are made what they were.

`POST /baseline` keeps the rows that are there, and `POST /reset` puts them back.
"""

import re
from typing import Any, Final

from django.db import connection, transaction

WRITE: Final = re.compile(r'(?:INSERT INTO|UPDATE|DELETE FROM) "([^"]+)"')
written: Final[set[str]] = set()
"""Tables that may have other rows than the baseline."""


def watch(connection: Any, **_: Any) -> None:
    """Note what a new connection writes (a receiver of Django's signal)."""
    connection.execute_wrappers.append(_note)


def _note(execute: Any, sql: str, params: Any, many: Any, context: Any) -> Any:
    if found := WRITE.match(sql):
        written.add(found[1])
    return execute(sql, params, many, context)


def keep() -> None:
    """Keep the rows that are there now."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("DROP SCHEMA IF EXISTS baseline CASCADE")
        cursor.execute("CREATE SCHEMA baseline")
        for table in written:
            cursor.execute(f'CREATE TABLE baseline."{table}" AS TABLE public."{table}"')
    written.clear()


def reset() -> None:
    """Put the rows back that were kept."""
    tables = sorted(written)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'baseline'")
        kept = {name for (name,) in cursor.fetchall()}
        for table in tables:
            # A handful of rows: TRUNCATE would write new files for the table and each of its indexes.
            cursor.execute(f'DELETE FROM public."{table}"')
            if table in kept:
                cursor.execute(f'INSERT INTO public."{table}" OVERRIDING SYSTEM VALUE SELECT * FROM baseline."{table}"')
    written.difference_update(tables)

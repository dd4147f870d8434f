"""Spans of SQL statements, of those alone that are run within a span.

OpenTelemetry's library for psycopg makes a trace of each statement that stands alone, and a worker asks for due rows
fifty times a second. Django's own wrappers cost one look-up a statement where nothing is recorded.
"""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final

from django.db import connections
from django.db.backends.signals import connection_created

from waybill.tracing import spans

TABLE: Final = re.compile(r'\b(?:INTO|FROM|UPDATE|JOIN)\s+"?(\w+)', re.IGNORECASE)
INNERMOST: Final = re.compile(r"\([^()]*\)")
LAST: Final = re.compile(r"^.*?(?=\b(?:SELECT|INSERT|UPDATE|DELETE)\b)", re.DOTALL | re.IGNORECASE)
LONGEST_TEXT: Final = 2_000


def install() -> None:
    """Trace the statements of every connection that Django has and will have, where this process makes spans."""
    if not spans.is_on():
        return
    connection_created.connect(_created, weak=False, dispatch_uid="waybill.tracing")
    for connection in connections.all(initialized_only=True):
        _created(connection=connection)


def _created(*, connection: Any, **_: Any) -> None:
    if connection.vendor == "postgresql" and _traced not in connection.execute_wrappers:
        connection.execute_wrappers.append(_traced)


def _traced(execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: Any) -> Any:
    if not spans.is_recording():
        return execute(sql, params, many, context)
    text = sql if isinstance(sql, str) else ""
    verb, table = _named(text)
    # Values never stand in the text: they are parameters.
    with spans.span(
        f"{verb} {table}" if table else verb,
        "client",
        attributes={
            "db.system.name": "postgresql",
            "db.namespace": str(context["connection"].settings_dict["NAME"]),
            "db.operation.name": verb,
            "db.query.text": text[:LONGEST_TEXT],
        },
    ):
        return execute(sql, params, many, context)


@lru_cache(1_000)
def _named(text: str) -> tuple[str, str | None]:
    """Return what a statement does, and to which table; of several in one (WITH), what the last of them does."""
    if text.lstrip()[:4].upper() == "WITH":
        while (outer := INNERMOST.sub("", text)) != text:
            text = outer
        text = LAST.sub("", text)
    verb = text.split(None, 1)[0].upper() if text.strip() else "SQL"
    table = TABLE.search(text)
    return verb, table[1] if table else None

"""Why an event could not become rows of this side, by column and with what helps."""

import re
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Final

import psycopg
from django.db import DataError, IntegrityError

from waybill.contracts.event import Event
from waybill.database.sqlstate import cause_of
from waybill.migrate.applying.inverse import EventRefused
from waybill.migrate.applying.receiving import Receiving

REMEDIES: Final[Mapping[str, str]] = {
    "23502": "map the column, or give it a default in [aggregates.….apply], then redrive",
    "23503": "once the row that is missing has come, or the row that still refers to it has gone, redrive",
    "23505": "a row here has that value: remove it if it is surplus, or redrive once its own event has come",
    "23514": "the other side allows what this side's constraint does not: change it, then redrive",
}
ANY: Final = "change this side's constraint or row, then redrive"
TYPE: Final = "give the column the other side's type, then redrive"
# PostgreSQL names no column of a value that its type does not take; the type tells which it can be.
OVERFLOW: Final = re.compile(r"precision (\d+), scale (-?\d+)")
_SHOWN: Final = 200


class Conflict(Exception):
    """Rows of this side do not take what the event says, now; the message names the column and the remedy."""


@contextmanager
def named(receiving: Receiving) -> Generator[None]:
    """Say what a constraint or a type of this side has against an event, and what to do."""
    try:
        yield
    except IntegrityError as error:
        found = cause_of(error)
        if found is None:
            raise
        where = ".".join(filter(None, (found.diag.table_name, found.diag.column_name)))
        remedy = REMEDIES.get(found.sqlstate or "", ANY)
        raise Conflict(f"{receiving.source}: {where}: {_said(found)}; {remedy}") from error
    except DataError as error:
        found = cause_of(error)
        said = _said(found) if found else str(error)
        where = ", ".join(_of_type(receiving, said)) or receiving.row.table
        raise EventRefused(f"{receiving.source}: {where}: {said}; {TYPE}") from error


def difference(receiving: Receiving, key: str, wanted: Event, found: Event | None) -> str:
    """Say which field does not come back of the rows that were written, and which column it should be in."""
    where = f"{receiving.row.table} {key}"
    if found is None:
        return f"{where}: written, and the row is not there: does a trigger or a rule of this side take it away?"
    told, here = wanted.to_avro(), found.to_avro()
    name = next(name for name in told if told[name] != here[name])
    columns = {one.field: f"{receiving.row.table}.{one.column.name}" for one in receiving.row.filled}
    columns |= {field: rows.table for field, rows in receiving.children.items()}
    at = columns.get(name, f"{receiving.row.table}, which keeps no column of it: the mapping says what it is")
    return (
        f"{where}: {name} is {_shown(told[name])}, and this side would tell {_shown(here[name])}: {at} holds it not as "
        "it is; give it the other side's type, or correct the mapping"
    )


def _said(error: psycopg.Error) -> str:
    return " ".join(filter(None, (error.diag.message_primary, error.diag.message_detail))) or str(error)


def _of_type(receiving: Receiving, said: str) -> list[str]:
    overflow = OVERFLOW.search(said)
    text = f"type numeric({overflow[1]},{overflow[2]})" if overflow else said
    parts = (receiving.row, *receiving.children.values())
    columns = [(f"{rows.table}.{one.column.name}", one.column) for rows in parts for one in rows.filled]
    exact = [name for name, column in columns if _names(text, column.type)]
    return exact or [name for name, column in columns if _names(text, column.cast)]


def _names(said: str, kind: str) -> bool:
    return re.search(rf"(?:(?:type|enum) {re.escape(kind)}(?![\w(])|^{re.escape(kind)} out of range)", said) is not None


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"

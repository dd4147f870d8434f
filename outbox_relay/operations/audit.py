"""What operators did to an outbox is on record: who, when, why, what. A row stands or falls with what it tells of."""

import getpass
import os
from collections.abc import Mapping
from typing import Any, Final

import psycopg
from psycopg.types.json import Jsonb

RECORD: Final = (
    "INSERT INTO waybill_operator_action (operator, verb, reason, what) VALUES (%s, %s, %s, %s) RETURNING id"
)


def operator() -> str:
    """Return who the operator is where nobody said: the name of the operating system's login."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a user id without a name, as in a container
        return f"uid {os.getuid()}"


def record(
    connection: psycopg.Connection, verb: str, reason: str, what: Mapping[str, Any], by: str | None = None
) -> int:
    """Write who did what and why, in the transaction that does it; returns the row's id. Raises psycopg.Error."""
    row = connection.execute(RECORD, (by or operator(), verb, reason, Jsonb(dict(what)))).fetchone()
    assert row is not None
    return row[0]

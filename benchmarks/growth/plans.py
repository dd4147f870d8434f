"""Which statements PostgreSQL runs in another way once the tables are large.

The server logs every statement of some orders; each is then explained, not run, on the server where it was seen. What
is compared is the shape of its plan: the kinds of steps, and the tables and indexes that they use. A statement with
parameters is explained by its generic plan.
"""

import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psycopg
from psycopg import sql

from devstack.harness.stack import Stack

LOGGED: Final = {"log_statement": "'all'", "log_line_prefix": "'@@%d@'"}
HEARD_SECONDS: Final = 2.0  # heartbeats and polls between orders are statements, too
ENTRY: Final = re.compile(r"^@@(?P<database>\w*)@LOG:  (?:statement|execute [^:]*): (?P<text>.*)", re.DOTALL)
# What stands in a statement as a value, in quotes or as a number; lists of them are as long as the batch was.
VALUE: Final = re.compile(r"'(?:[^']|'')*'(?:::\w+)?|\b\d+(?:\.\d+)?\b")
LIST: Final = re.compile(r"(\$?\?)(?:\s*,\s*\$?\?)+")
ROWS: Final = re.compile(r"\((?:\?|\w+)(?:, (?:\?|\w+))*\)(?:\s*,\s*\((?:\?|\w+)(?:, (?:\?|\w+))*\))+")
EXPLAINED: Final = ("SELECT", "INSERT", "UPDATE", "DELETE", "WITH")
SHOWN: Final = ("Relation Name", "Index Name", "Join Type", "Strategy")


@dataclass(frozen=True)
class Changed:
    """A statement whose plan is another one in the larger database."""

    database: str
    statement: str
    before: str
    after: str


def heard(stack: Stack, work: Callable[[], object]) -> dict[tuple[str, str], str]:
    """Return a sample of each statement that runs meanwhile, by database and by its text without values."""
    log = _log(stack)
    start = log.stat().st_size
    _set(stack, {f"{name} = {value}" for name, value in LOGGED.items()})
    try:
        work()
        time.sleep(HEARD_SECONDS)  # for what runs between orders
    finally:
        _set(stack, {f"{name} = DEFAULT" for name in LOGGED})
    with log.open("rb") as file:
        file.seek(start if log.stat().st_size >= start else 0)  # it is rotated now and then
        text = file.read().decode(errors="replace")
    return {(database, without_values(one)): one for database, one in statements(text)}


def shapes(stack: Stack, seen: Mapping[tuple[str, str], str]) -> dict[tuple[str, str], str]:
    """Return the shape of each statement's plan, where the server can explain it."""
    found: dict[tuple[str, str], str] = {}
    for key, statement in seen.items():
        with psycopg.connect(stack.database(key[0])) as session:
            generic = sql.SQL("GENERIC_PLAN, " if re.search(r"\$\d", statement) else "")
            try:
                asked = sql.SQL("EXPLAIN ({}FORMAT JSON) ").format(generic).as_string(session) + statement
                row = session.execute(asked.encode(), prepare=False).fetchone()
            except psycopg.Error:  # a table of its own session, or a parameter without a type
                continue
            finally:
                session.rollback()
            found[key] = shape(row[0][0]["Plan"]) if row else ""
    return found


def changed(before: Mapping[tuple[str, str], str], after: Mapping[tuple[str, str], str]) -> list[Changed]:
    """Return the statements that were seen in both and whose plans differ."""
    both = sorted(before.keys() & after.keys())
    return [Changed(*key, before[key], after[key]) for key in both if before[key] != after[key]]


def statements(text: str) -> Iterator[tuple[str, str]]:
    """Yield the database and the text of each statement that a server's log has, and that can be explained."""
    for entry in re.split(r"\n(?=@@\w*@)", text):
        if (found := ENTRY.match(entry)) is None:
            continue
        statement = found["text"].replace("\n\t", "\n").strip()
        if statement.upper().startswith(EXPLAINED):
            yield found["database"], statement


def without_values(statement: str) -> str:
    """Return what is the same in a statement each time."""
    one = VALUE.sub("?", " ".join(statement.split()))
    return ROWS.sub("(…)", LIST.sub(r"\1, …", one))


def shape(plan: Mapping[str, Any]) -> str:
    """Return the steps of a plan, with the tables and indexes that they use and without what they may cost."""
    used = " ".join(str(plan[name]) for name in SHOWN if name in plan)
    below = ", ".join(shape(one) for one in plan.get("Plans", []))
    return plan["Node Type"] + (f" {used}" if used else "") + (f" ({below})" if below else "")


def _log(stack: Stack) -> Path:
    return stack.home / "log" / "postgres.log"


def _set(stack: Stack, settings: set[str]) -> None:
    with psycopg.connect(stack.superuser_url, autocommit=True) as server:
        for setting in sorted(settings):
            server.execute(f"ALTER SYSTEM SET {setting}".encode())
        server.execute("SELECT pg_reload_conf()")

"""`python -m waybill outbox-sql`: the outbox as SQL, for a database that another tool than Django migrates.

The statements are those of the migrations, one step each; only the tables of django-outbox-pattern, where dead letters
are kept, stand here as they are after all of its migrations. A step never changes once it is released, so a database
that has the first ones takes those that follow (`--after`).
"""

import argparse
import re
import sys
from collections.abc import Iterator, Sequence
from importlib import import_module
from pkgutil import iter_modules
from typing import Final, LiteralString

from psycopg import sql

from waybill.outbox import migrations, rights

DESCRIPTION: Final = "Print the outbox as SQL, for a database that another tool than Django migrates."
DEAD_LETTERS: Final = """
CREATE TABLE published (
    id          uuid PRIMARY KEY,
    version     varchar(100),
    destination varchar(255) NOT NULL,
    body        jsonb NOT NULL,
    added       timestamptz NOT NULL,
    expires_at  timestamptz NOT NULL,
    retry       integer NOT NULL CHECK (retry >= 0),
    status      integer NOT NULL,
    headers     jsonb NOT NULL
);
CREATE INDEX published_added ON published (added);
CREATE INDEX published_status_27c9ec_btree ON published (status);

CREATE TABLE received (
    id         uuid PRIMARY KEY,
    headers    jsonb,
    body       jsonb,
    added      timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    retry      integer NOT NULL CHECK (retry >= 0),
    status     integer NOT NULL,
    msg_id     varchar(100) UNIQUE
);
CREATE INDEX received_added ON received (added);
"""
# With an empty settings module the `outbox` command knows that there is no program of ours to ask.
RECORD: Final[LiteralString] = """
INSERT INTO waybill_service (name, settings_module) VALUES ({name}, '')
ON CONFLICT (id) DO UPDATE SET name = excluded.name, settings_module = excluded.settings_module;
"""


def main(arguments: Sequence[str]) -> int:
    """Print what is asked for; raises SystemExit(2) on unknown arguments, as argparse does."""
    parser = argparse.ArgumentParser(prog="python -m waybill outbox-sql", description=DESCRIPTION)
    chosen = parser.add_subparsers(required=True, metavar="WHAT")
    tables = chosen.add_parser("tables", help="the tables, as their owner creates them")
    tables.add_argument("service", type=_name, help="as whom it publishes: WAYBILL_SERVICE of its relay")
    tables.add_argument("--after", choices=[name for name, _ in steps()], help="only the steps after this one")
    tables.set_defaults(lines=_tables)
    roles = chosen.add_parser("rights", help="what the roles need, whatever else they may do")
    roles.add_argument("--writer", required=True, help="the role that appends events")
    roles.add_argument("--relay", required=True, help="the role of the relay")
    roles.add_argument("--schema", default="public", help="of the tables (default: %(default)s)")
    roles.set_defaults(lines=_rights)
    given = parser.parse_args(arguments)
    sys.stdout.writelines(given.lines(given))
    return 0


def steps() -> Iterator[tuple[str, str]]:
    """Yield each step's name and its SQL."""
    yield "0000_dead_letters", DEAD_LETTERS
    for module in sorted(iter_modules(migrations.__path__), key=lambda module: module.name):
        migration = import_module(f"{migrations.__name__}.{module.name}").Migration
        yield module.name, "".join(getattr(operation, "sql", "") for operation in migration.operations)


def _name(text: str) -> str:
    if not re.fullmatch(r"[\w-]+", text):
        raise argparse.ArgumentTypeError(f"{text!r}: a service's name has letters, digits, underscores and hyphens")
    return text


def _tables(given: argparse.Namespace) -> Iterator[str]:
    service: str = given.service
    after: str | None = given.after
    yield f"-- python -m waybill outbox-sql tables {service}{f' --after {after}' if after else ''}\n"
    for name, statements in steps():
        if after is None or name > after:
            yield f"\n-- Step {name}\n{statements}"
    yield sql.SQL(RECORD).format(name=service).as_string()


def _rights(given: argparse.Namespace) -> Iterator[str]:
    roles: tuple[tuple[LiteralString, str], ...] = ((rights.WRITER, given.writer), (rights.RELAY_TABLES, given.relay))
    for statements, role in roles:
        names = {"schema": sql.Identifier(given.schema), "role": sql.Identifier(role)}
        yield sql.SQL(statements).format(**names).as_string()

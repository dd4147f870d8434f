"""What a release's migrations do, and which of them may run while other code is at work.

Squawk reads their SQL. Of its rules those count that name one of two faults: a lock that keeps others waiting for as
long as a table is read or written, and a change that the code before cannot live with. The second kind is right in a
migration that contracts, named NNNN_contract_…, which runs once that code is gone.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from devstack.errors import DevstackError
from devstack.parts import inherited

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

SQUAWK: Final = Path(sys.executable).parent / "squawk"
OLDEST_POSTGRES: Final = "15"
SQL_OF: Final = Path(__file__).with_name("migration_sql.py")

LATER: Final = "let the new code do without it, and do this in a migration named NNNN_contract_…"
# Squawk's rule → the way to mend it, in Django's words.
LONG_LOCK: Final[Mapping[str, str]] = {
    "require-concurrent-index-creation": "writes wait while it is built: AddIndexConcurrently, with atomic = False",
    "require-concurrent-index-deletion": "everybody waits: RemoveIndexConcurrently, with atomic = False",
    "require-concurrent-reindex": "writes wait while it is built: REINDEX CONCURRENTLY, with atomic = False",
    "constraint-missing-not-valid": "everybody waits while rows are checked: AddConstraintNotValid, and "
    "ValidateConstraint in the next migration",
    "adding-foreign-key-constraint": "both tables wait while rows are checked: add it NOT VALID by RunSQL, and "
    "validate it in the next migration",
    "disallowed-unique-constraint": "everybody waits while its index is built: build the index concurrently, then ADD "
    "CONSTRAINT … UNIQUE USING INDEX",
    "adding-not-nullable-field": "everybody waits while rows are read: add CHECK (… IS NOT NULL) NOT VALID, validate "
    "it in the next migration, then SET NOT NULL",
    "adding-field-with-default": "the table is written anew: add it nullable, and fill it in batches",
    "adding-serial-primary-key-field": "the table is written anew: add it as bigint, and fill it in batches",
    "changing-column-type": "the table is written anew, and the code before writes the other type: add a second column",
}
NOT_EXPAND_ONLY: Final[Mapping[str, str]] = {
    "ban-drop-column": f"the code before reads and writes it: {LATER}",
    "ban-drop-table": f"the code before reads and writes it: {LATER}",
    "renaming-column": "the code before knows the old name: add a second column, and drop the old one in a migration "
    "named NNNN_contract_…",
    "renaming-table": "the code before knows the old name: add a second table, and drop the old one in a migration "
    "named NNNN_contract_…",
    "ban-drop-default": "the code before inserts rows without it: give the field db_default, which stays",
    "ban-drop-not-null": f"the code before may read a null: {LATER}",
    "adding-required-field": "the code before inserts rows without it: give the field db_default, or null=True",
    "ban-truncate-cascade": f"the code before needs the rows: {LATER}",
}
CONSTRAINT: Final = "constraint-missing-not-valid"
OF_A_CONSTRAINT: Final = {"adding-foreign-key-constraint", "disallowed-unique-constraint"}  # say more of the same
DATA: Final = "data-migration"
DATA_REMEDY: Final = (
    "code of which nobody can tell how many rows it locks, until the migration's end: fill in batches by a task or a "
    "command, or say why it is short in lint_allowed"
)


@dataclass(frozen=True, kw_only=True)
class Migration:
    """One migration, as `migration_sql.py` tells it."""

    app: str
    name: str
    file: str
    atomic: bool
    contracts: bool
    """Whether it must wait until the code before is gone."""
    sql: Sequence[str]
    code: Sequence[str] = ()
    allowed: Mapping[str, str] = field(default_factory=dict)
    parents: Sequence[Sequence[str]] = ()

    @property
    def key(self) -> tuple[str, str]:
        """Return how Django's table names it."""
        return self.app, self.name

    def __str__(self) -> str:
        """Name it."""
        return ".".join(self.key)


def of(source: Path, package: str) -> list[Migration]:
    """Return what the migrations of a service do, in the sequence in which they run.

    Raises:
        DevstackError: the source's migrations cannot be read.

    """
    done = subprocess.run(
        [sys.executable, "-P", "-W", "ignore", str(SQL_OF), package],
        cwd=source,
        env=inherited(),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise DevstackError(f"{source}: its migrations cannot be read", tuple(done.stderr.splitlines()[-3:]))
    return [Migration(**one) for one in json.loads(done.stdout)]


def faults(migrations: Iterable[Migration]) -> list[str]:
    """Return a line for each fault of the migrations, with the way to mend it; empty where they may run."""
    return [line for migration in migrations for line in _faults(migration)]


def _faults(migration: Migration) -> list[str]:
    rules = LONG_LOCK if migration.contracts else {**LONG_LOCK, **NOT_EXPAND_ONLY}
    told = _squawk(migration)
    lines = "\n".join(migration.sql).splitlines()
    better = {one["line"] for one in told if one["rule_name"] in OF_A_CONSTRAINT}
    found: dict[str, str] = {}
    for one in told:
        if (rule := one["rule_name"]) in rules and not (rule == CONSTRAINT and one["line"] in better):
            found.setdefault(rule, f"{lines[one['line']].strip()[:120]}: {rules[rule]}")
        elif rule == "syntax-error":
            found.setdefault(rule, one["message"])
    if migration.code:
        found[DATA] = f"{', '.join(migration.code)}(): {DATA_REMEDY}"
    return [f"{migration}: {rule}: {says}" for rule, says in found.items() if rule not in migration.allowed]


def _squawk(migration: Migration) -> list[dict[str, Any]]:
    options = ["--reporter", "json", "--pg-version", OLDEST_POSTGRES]
    options += ["--assume-in-transaction"] if migration.atomic else ["--no-assume-in-transaction"]
    done = subprocess.run(
        [str(SQUAWK), *options], input="\n".join(migration.sql) + "\n", capture_output=True, text=True, check=False
    )
    try:
        return json.loads(done.stdout or "[]")
    except ValueError:
        raise DevstackError(f"squawk did not read {migration}", tuple(done.stderr.splitlines()[-3:])) from None

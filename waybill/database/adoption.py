"""Tables that version 0.1 made without a prefix, all in one app: renamed where they are, else created.

A rename takes a lock for a moment and moves no row. The programs of version 0.1 do not know the new names, so they are
stopped before the migration (docs/upgrading.md).
"""

from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from django.db import migrations
from django.db.utils import NotSupportedError

OLD_APP, LAST_OLD = "chassis", "0015_verified"
KNOWN: Final = "SELECT to_regclass('django_migrations') IS NOT NULL"
APPLIED: Final = "SELECT name FROM django_migrations WHERE app = %s"

# What belongs to a table and has its name in front: constraints, indexes of none, sequences.
RENAME: Final = """
ALTER TABLE {old} RENAME TO {new};
DO $$
DECLARE statement text;
BEGIN
    FOR statement IN
        SELECT format('ALTER TABLE {new} RENAME CONSTRAINT %I TO %I', conname, '{new}' || substr(conname, {length}))
        FROM pg_constraint WHERE conrelid = '{new}'::regclass AND starts_with(conname, '{old}_')
        UNION ALL
        SELECT format('ALTER INDEX %I RENAME TO %I', relname, '{new}' || substr(relname, {length}))
        FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
        WHERE indrelid = '{new}'::regclass AND starts_with(relname, '{old}_')
          AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid AND conrelid = indrelid)
        UNION ALL
        SELECT format('ALTER SEQUENCE %I RENAME TO %I', relname, '{new}' || substr(relname, {length}))
        FROM pg_depend JOIN pg_class ON pg_class.oid = objid AND relkind = 'S'
        WHERE refobjid = '{new}'::regclass AND deptype IN ('a', 'i') AND starts_with(relname, '{old}_')
    LOOP
        EXECUTE statement;
    END LOOP;
END $$;
"""


class CreateOrRename(migrations.RunPython):
    """Create the tables, or give those of version 0.1 their names: old → new."""

    reduces_to_sql = True  # `sqlmigrate` shows what this database would get

    def __init__(self, create: str, drop: str, tables: Mapping[str, str]) -> None:
        """Prepare both directions; `sql` is what creates the tables."""
        self.sql = create
        forwards = partial(_run, create, [(old, new) for old, new in tables.items()])
        backwards = partial(_run, drop, [(new, old) for old, new in tables.items()])
        super().__init__(forwards, backwards)


def _run(otherwise: str, renames: list[tuple[str, str]], _apps: Any, editor: Any) -> None:
    if not _has_tables_of_before(editor):
        editor.execute(otherwise, params=None)
        return
    for old, new in renames:
        editor.execute(RENAME.format(old=old, new=new, length=len(old) + 1), params=None)


def _has_tables_of_before(editor: Any) -> bool:
    with editor.connection.cursor() as cursor:
        cursor.execute(KNOWN)
        if cursor.fetchone() != (True,):
            return False
        cursor.execute(APPLIED, [OLD_APP])
        applied = {name for (name,) in cursor.fetchall()}
    if applied and LAST_OLD not in applied:
        raise NotSupportedError(f"the tables are those of {max(applied)}; migrate to {LAST_OLD} with version 0.1 first")
    return bool(applied)

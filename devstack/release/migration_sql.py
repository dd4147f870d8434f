"""Prints what each migration of a service does, as JSON: `python -P migration_sql.py SERVICE`, in a release's folder.

A program of its own, since it imports the release's code and not this checkout's. No database is asked: what a
migration does must not depend on one.
"""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path.cwd()))

NOWHERE = "postgresql://nobody@127.0.0.1:1/nothing"


def main(service: str) -> None:
    """Print a list of migrations in the sequence in which they run."""
    from waybill.runtime.django_settings import configure_django

    configure_django((service,), NOWHERE, f"{service}.lint")
    from django.db.migrations.loader import MigrationLoader
    from django.db.migrations.state import ProjectState

    from waybill.database.migrating import CONTRACTING

    loader = MigrationLoader(None, replace_migrations=False)
    plan = [key for leaf in sorted(loader.graph.leaf_nodes()) for key in loader.graph.forwards_plan(leaf)]
    state, found = ProjectState(), []
    for key in dict.fromkeys(plan):
        migration = loader.graph.nodes[key]
        sql, code = statements(migration, state)
        found.append(
            {
                "app": key[0],
                "name": key[1],
                "file": sys.modules[type(migration).__module__].__file__,
                "atomic": migration.atomic,
                "contracts": bool(CONTRACTING.match(key[1])),
                "sql": sql,
                "code": code,
                "allowed": dict(getattr(migration, "lint_allowed", {})),
                "parents": sorted(list(parent.key) for parent in loader.graph.node_map[key].parents),
            }
        )
    json.dump(found, sys.stdout)


def statements(migration, state) -> tuple[list[str], list[str]]:  # noqa: ANN001 - Django is imported later
    """Return the migration's SQL, and which of its operations are code; brings the state behind it."""
    from django.db import connection
    from django.db.migrations import RunPython

    class Collecting(connection.SchemaEditorClass):
        def execute(self, sql, params=()) -> None:  # noqa: ANN001 - Django's signature; its own asks the database
            text = str(sql)
            if params:
                text %= tuple(self.quote_value(value) for value in params)
            self.collected_sql.append(f"{text.rstrip().rstrip(';')};")

    code = []
    with Collecting(connection, collect_sql=True, atomic=False) as editor:
        for operation in migration.operations:
            before = state.clone()
            operation.state_forwards(migration.app_label, state)
            if not isinstance(operation, RunPython):
                operation.database_forwards(migration.app_label, editor, before, state)
            elif isinstance(creates := getattr(operation, "sql", None), str):
                editor.execute(creates)  # waybill.database.adoption: what a new database gets
            else:
                code.append(getattr(operation.code, "__name__", "code"))
    return editor.collected_sql, code


if __name__ == "__main__":
    main(sys.argv[1])

"""A migration that locks a table for long, or breaks the code before, is named with the way to mend it."""

from pathlib import Path

import pytest

from devstack.folder import CHECKOUT
from devstack.release import migrations
from devstack.release.migrations import Migration
from devstack.services import EVERY
from tests.release import versions

REFUSED = {
    "CREATE INDEX i ON orders (status);": ("require-concurrent-index-creation", "AddIndexConcurrently"),
    "DROP INDEX i;": ("require-concurrent-index-deletion", "RemoveIndexConcurrently"),
    "ALTER TABLE orders ADD CONSTRAINT c CHECK (total >= 0);": (
        "constraint-missing-not-valid",
        "AddConstraintNotValid",
    ),
    "ALTER TABLE orders ADD CONSTRAINT u UNIQUE (total);": ("disallowed-unique-constraint", "USING INDEX"),
    "ALTER TABLE orders ADD CONSTRAINT f FOREIGN KEY (a) REFERENCES b (c);": (
        "adding-foreign-key-constraint",
        "NOT VALID",
    ),
    "ALTER TABLE orders ALTER COLUMN total SET NOT NULL;": ("adding-not-nullable-field", "IS NOT NULL"),
    "ALTER TABLE orders ALTER COLUMN total TYPE text;": ("changing-column-type", "second column"),
    "ALTER TABLE orders ADD COLUMN a timestamptz DEFAULT clock_timestamp();": ("adding-field-with-default", "batches"),
    "ALTER TABLE orders ADD COLUMN a int NOT NULL;": ("adding-required-field", "db_default"),
    "ALTER TABLE orders ALTER COLUMN a DROP DEFAULT;": ("ban-drop-default", "db_default"),
    "ALTER TABLE orders ALTER COLUMN a DROP NOT NULL;": ("ban-drop-not-null", "NNNN_contract_"),
    "ALTER TABLE orders DROP COLUMN a;": ("ban-drop-column", "NNNN_contract_"),
    "DROP TABLE orders;": ("ban-drop-table", "NNNN_contract_"),
    "ALTER TABLE orders RENAME COLUMN a TO b;": ("renaming-column", "second column"),
    "ALTER TABLE orders RENAME TO b;": ("renaming-table", "second table"),
}
TAKEN = (
    "ALTER TABLE orders ADD COLUMN a text;",
    "ALTER TABLE orders ADD COLUMN a int DEFAULT 0 NOT NULL;",
    "CREATE TABLE a (b int); CREATE INDEX i ON a (b);",
    "ALTER TABLE orders ADD CONSTRAINT c CHECK (total >= 0) NOT VALID;",
)


def migration(sql: str, name: str = "0009_more", **more: object) -> Migration:
    given = {"contracts": False, **more}
    return Migration(app="order_service", name=name, file="", atomic=True, sql=[sql], **given)


@pytest.mark.parametrize("service", EVERY)
def test_no_migration_of_ours_locks_for_long_or_breaks_the_code_before(service: str):
    found = migrations.of(CHECKOUT, f"{service}_service")
    ours = [one for one in found if Path(one.file).is_relative_to(CHECKOUT) and ".venv" not in one.file]
    assert {one.app for one in ours} >= {f"{service}_service", "waybill_outbox"}
    assert migrations.faults(ours) == []


@pytest.mark.parametrize("sql", REFUSED)
def test_a_fault_is_named_with_the_way_to_mend_it(sql: str):
    (line,) = migrations.faults([migration(sql)])
    rule, remedy = REFUSED[sql]
    assert line.startswith(f"order_service.0009_more: {rule}: {sql[:-1]}")
    assert remedy in line.partition(sql)[2]


@pytest.mark.parametrize("sql", TAKEN)
def test_what_no_code_notices_may_run(sql: str):
    assert migrations.faults([migration(sql)]) == []


def test_a_migration_that_contracts_may_drop_and_still_must_not_lock():
    later = "0010_contract_more"
    assert migrations.faults([migration("ALTER TABLE orders DROP COLUMN a;", later, contracts=True)]) == []
    (line,) = migrations.faults([migration("DROP INDEX i;", later, contracts=True)])
    assert line.startswith("order_service.0010_contract_more: require-concurrent-index-deletion: ")


def test_one_fault_may_be_allowed_with_a_reason_and_no_other():
    sql = "DROP INDEX i; ALTER TABLE orders DROP COLUMN a;"
    (line,) = migrations.faults([migration(sql, allowed={"ban-drop-column": "it was never used"})])
    assert "require-concurrent-index-deletion" in line


def test_code_is_named_since_nobody_can_tell_what_it_locks():
    (line,) = migrations.faults([migration("", code=["fill"])])
    assert line.startswith("order_service.0009_more: data-migration: fill(): ")


def test_djangos_own_index_and_default_are_seen_in_a_copy_of_the_code(tmp_path: Path):
    version = versions.locking_version(tmp_path, "order")
    versions.migrate(version, "mark", 'migrations.AddField("{model}", "mark", models.IntegerField(default=0))')
    versions.migrate(version, "fill", "migrations.RunPython(migrations.RunPython.noop)")
    *_, locks, marks, fills = (one for one in migrations.of(tmp_path, "order_service") if one.app == "order_service")
    assert [line.split(": ")[:2] for line in migrations.faults([locks, marks, fills])] == [
        ["order_service.0007_by_status", "require-concurrent-index-creation"],
        ["order_service.0008_mark", "ban-drop-default"],
        ["order_service.0009_fill", "data-migration"],
    ]

"""No statement names a table by the name that it had before: nothing else reads what runs once in a while."""

import re
import subprocess

from benchmarks.peers import debezium
from devstack.folder import CHECKOUT
from waybill.outbox.models import OutboxEvent

UPGRADING = CHECKOUT / "docs" / "upgrading.md"
RENAMED = dict(re.findall(r"^\| `(\w+)` \| `(waybill_\w+)` \|", UPGRADING.read_text(), re.MULTILINE))
BEFORE_A_TABLE = r"(?:\b(?:FROM|INTO|UPDATE|JOIN|TABLE|TRUNCATE|ANALYZE|VACUUM)|VACUUM \([A-Z, ]+\)|public\.)\s*"
# What brings data of 0.1 over, its tests, and the history; and tables that are a service's own.
OF_BEFORE = (
    "docs/upgrading.md",
    "CHANGELOG.md",
    "tests/integration/test_upgrading.py",
    "tests/support/version_0_1.sql",
    "waybill/*/migrations/*",
    "waybill/database/adoption.py",
    "examples/*/migrations/*",
)


def test_no_statement_names_a_table_by_its_former_name() -> None:
    assert len(RENAMED) > 10
    named = re.compile(BEFORE_A_TABLE + rf"(?<![\w.])({'|'.join(RENAMED)})\b(?! AS \()")
    files = ["*.py", "*.sql", "*.md", "*.properties", "*.toml", *(f":!{name}" for name in OF_BEFORE)]
    listed = subprocess.run(["git", "ls-files", "--", *files], cwd=CHECKOUT, capture_output=True, text=True, check=True)
    found = [
        f"{path}: {match.group()}"
        for path in listed.stdout.split()
        for match in named.finditer((CHECKOUT / path).read_text())
    ]
    assert not found


def test_the_connector_that_the_relays_page_shows_takes_the_outbox() -> None:
    settings = debezium.connector_settings()
    assert settings["table.include.list"] == f"public.{OutboxEvent._meta.db_table}"
    assert f"FOR TABLE {OutboxEvent._meta.db_table} (" in debezium.PUBLICATION.read_text()

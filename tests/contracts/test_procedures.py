"""docs/contracts.md is followed to the letter, on a copy of the schemas, by the real commands.

What a section has as JSON is put where the section says, and the commands of the page are run after it.
"""

import json
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from fastavro import parse_schema, schemaless_reader

from devstack.harness.stack import CHECKOUT

PAGE = (CHECKOUT / "docs" / "contracts.md").read_text()
BLOCK = re.compile(r"^ *```(\w+)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"In `(schemas/\S+/)`, (?:write|copy) `(\S+\.avsc)`(?: to `(\S+\.avsc)`)?")
NEEDED = (
    "pyproject.toml",
    "tests/__init__.py",
    "tests/support/__init__.py",
    "tests/support/golden.py",
    "tests/support/schema_samples.py",
)
COMMAND_SECONDS = 60


@dataclass(frozen=True)
class Section:
    """One procedure of the page."""

    source: str
    target: str | None
    given: Any

    @classmethod
    def called(cls, title: str) -> "Section":
        text = PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]
        ((folder, source, target),) = FILE.findall(text)
        (given,) = (json.loads(block) for language, block in BLOCK.findall(text) if language == "json")
        return cls(folder + source, target or None, given)


COMMANDS = [
    line.split()
    for language, block in BLOCK.findall(PAGE)
    if language == "sh"
    for line in block.splitlines()
    if line.strip()
]


@dataclass(frozen=True)
class Copy:
    """The schemas, in a checkout that nobody minds."""

    root: Path

    def path(self, name: str) -> Path:
        return self.root / name

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *command],
            cwd=self.root,
            capture_output=True,
            text=True,
            check=False,
            timeout=COMMAND_SECONDS,
        )

    def follow_the_commands(self) -> None:
        assert len(COMMANDS) == 4
        for _, *words in COMMANDS:
            done = self.run(*words)
            assert done.returncode == 0, (words, done.stdout, done.stderr)

    def next_version(self, section: Section) -> dict[str, Any]:
        """Copy the file as the section says, and give what the new one says so far."""
        assert section.target
        before = self.path(section.source)
        return json.loads(shutil.copy(before, before.with_name(section.target)).read_text())

    def write(self, name: str, schema: Any) -> None:
        self.path(name).write_text(json.dumps(schema))

    def golden(self, name: str) -> dict[str, Any]:
        return json.loads(self.path(f"tests/contracts/golden/{name}.json").read_text())


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    without = shutil.ignore_patterns("__pycache__", "decisions", "*.svg")
    for folder in ("schemas", "docs", "tests/contracts/golden"):
        shutil.copytree(CHECKOUT / folder, tmp_path / folder, ignore=without)
    for name in NEEDED:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(CHECKOUT / name, tmp_path / name)
    return Copy(tmp_path)


def beside(section: Section) -> str:
    assert section.target
    return str(Path(section.source).with_name(section.target))


def test_adding_an_event(copy: Copy) -> None:
    section = Section.called("Add an event")
    copy.write(section.source, section.given)
    assert copy.run("-m", "waybill", "contracts", "check").returncode == 1, "not released yet"
    copy.follow_the_commands()
    assert "OrderShipped (v1)" in copy.path("docs/events.md").read_text()
    kept = copy.golden("waybill.order.OrderShipped.v1")
    assert kept["headers"]["ce_type"] == "waybill.order.OrderShipped"
    built = "from schemas.events import OrderShipped; print(OrderShipped(order_id=None, parcels=2).parcels)"
    assert copy.run("-c", built).stdout.strip() == "2"


def test_adding_a_field(copy: Copy) -> None:
    section = Section.called("Add a field")
    schema = copy.next_version(section)
    schema["fields"].append({key: value for key, value in section.given.items() if key != "default"})
    copy.write(beside(section), schema)
    refused = copy.run("-m", "waybill", "contracts", "check")
    assert refused.returncode == 1
    assert "OrderCancelled.v2.avsc: cancelled_by has no default, and v1 has no such field" in refused.stderr
    schema["fields"][-1] = section.given
    copy.write(beside(section), schema)
    copy.follow_the_commands()
    first, second = (copy.golden(f"waybill.order.OrderCancelled.v{version}")["fields"] for version in (1, 2))
    assert second.keys() - first.keys() == {"cancelled_by"}
    decoded = (
        "from waybill.contracts import codec; from tests.support.golden import *\n"
        "c = next(c for c in load() if c.source.endswith('OrderCancelled.v1.avsc'))\n"
        "print(codec.decode(c.event_type, 1, Golden.read(c).payload).cancelled_by)"
    )
    assert copy.run("-c", decoded).stdout.strip() == "None"


def test_renaming_a_field(copy: Copy) -> None:
    section = Section.called("Rename a field")
    schema = copy.next_version(section)
    old, new = section.given
    schema["fields"] = [field for field in schema["fields"] if field["name"] != old["name"]]
    copy.write(beside(section), {**schema, "fields": [*schema["fields"], {**new, "aliases": [old["name"]]}]})
    refused = copy.run("-m", "waybill", "contracts", "check")
    assert refused.returncode == 1, "an alias is not enough"
    assert "PaymentDeclined.v2.avsc: code is gone, and v1 has no default for it: keep it" in refused.stderr
    copy.write(beside(section), {**schema, "fields": [*schema["fields"], old, new]})
    copy.follow_the_commands()
    assert "**Deprecated.** Read decline_code" in copy.path("docs/events.md").read_text()
    assert "Deprecated: Read decline_code" in copy.path("schemas/events.py").read_text()


def test_renaming_an_event(copy: Copy) -> None:
    section, former = Section.called("Rename an event"), Section.called("Deprecate")
    copy.write(section.source, section.given)
    copy.write(beside(former), {**copy.next_version(former), **former.given})
    copy.follow_the_commands()
    kept = copy.golden("waybill.inventory.StockCorrected.v1")
    writer = parse_schema(json.loads(copy.path(former.source).read_text()))
    read = schemaless_reader(BytesIO(bytes.fromhex(kept["value"])[5:]), writer, parse_schema(section.given))
    assert read == kept["fields"], "who reads with the new schema reads the history"
    page = copy.path("docs/events.md").read_text()
    assert "StockCounted (v1)" in page
    assert "StockCorrected (v2)" in page
    assert f"**Deprecated.** {former.given['deprecated']}" in page


def test_deprecating_changes_no_byte(copy: Copy) -> None:
    section = Section.called("Deprecate")
    copy.write(beside(section), {**copy.next_version(section), **section.given})
    copy.follow_the_commands()
    first, second = (copy.golden(f"waybill.inventory.StockCorrected.v{version}") for version in (1, 2))
    assert first == second


def test_a_released_file_that_was_edited_is_refused_with_the_remedy(copy: Copy) -> None:
    section = Section.called("Deprecate")
    copy.write(section.source, {**json.loads(copy.path(section.source).read_text()), **section.given})
    refused = copy.run("-m", "waybill", "contracts", "check")
    assert refused.returncode == 1
    (line,) = refused.stderr.splitlines()
    assert "StockCorrected.v1.avsc is released and was changed" in line
    assert "copy it to StockCorrected.v2.avsc and change that" in line

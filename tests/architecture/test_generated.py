"""What is generated is what its source says today."""

import subprocess
import sys
from dataclasses import replace

import pytest

from catalogue import tables
from catalogue.__main__ import committed
from devstack import manifests
from devstack.errors import DevstackError
from devstack.folder import CHECKOUT
from devstack.services import EVERY, SERVICES


def test_every_generated_file_is_fresh():
    stale = [str(path.relative_to(CHECKOUT)) for path, text in committed().items() if path.read_text() != text]
    assert stale == [], "run `make docs` and commit what it writes"


def test_lint_says_so_too():
    assert "-m catalogue --check" in (CHECKOUT / "Makefile").read_text().replace("$(RUN)", "-m")
    command = [sys.executable, "-m", "catalogue", "--check"]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_fifth_service_stands_in_every_part_that_lists_services():
    fifth = replace(SERVICES["payment"], name="shipping", title="Shipping", topics=("shipping.events.v1",))
    changed = manifests.stale([*EVERY.values(), fifth])
    assert {str(path.relative_to(CHECKOUT)) for path in changed} == set(manifests.PARTS)
    for path, text in changed.items():
        parts = manifests.PART.findall(text)
        assert {name for _, name, _ in parts} == set(manifests.PARTS[str(path.relative_to(CHECKOUT))])
        assert all("shipping" in part for _, name, part in parts if name != "readers"), path


def test_a_part_that_is_missing_is_named(tmp_path):
    with pytest.raises(DevstackError, match=r"compose\.yml: the part `# services.toml: names` .* is missing"):
        manifests.renewed(tmp_path / "compose.yml", "services: {}\n", {"names": ""})


def test_a_table_that_differs_is_renewed_where_it_stands(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# Page\n\n| Endpoint | Does |\n|---|---|\n| `GET /old` | old |\n\nText.\n")
    fresh = "| Endpoint | Does |\n|---|---|\n| `GET /new` | new |"
    assert tables.renewed(page, [fresh]) == f"# Page\n\n{fresh}\n\nText.\n"

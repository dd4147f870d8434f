"""The README and the docs name nothing that does not exist, and their code reads as code."""

import ast
import json
import re
import shlex
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from devstack.demo import CATALOGUE
from devstack.folder import CHECKOUT
from devstack.simulators.provider import FIELDS

README = CHECKOUT / "README.md"
BOOKINGS = CHECKOUT / "examples" / "bookings"  # whose files the tutorial writes
PAGES = [README, CHECKOUT / "CHANGELOG.md", *sorted((CHECKOUT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
TARGETS = set(re.findall(r"^([a-z0-9-]+):", (CHECKOUT / "Makefile").read_text(), re.MULTILINE))
# Programs that every Unix has, or that the block's own page asks for; `state` is defined in the README.
TOOLS = {"curl", "python3", "docker", "pip", "psql", "state()", "export"}
# In the folder of a reader's own project, where the tutorial and the how-to guides are followed.
RUN = {"api.md", "leave-a-monolith.md"}  # pages that a test follows line by line
PROJECT_FILES = {"manage.py", "read.py"}


every_page = pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(CHECKOUT)))


def blocks(path: Path, language: str) -> list[str]:
    return [text for found, text in BLOCK.findall(path.read_text()) if found == language]


def commands(path: Path) -> list[str]:
    """Every command of a page's shell blocks; continued lines joined."""
    text = "\n".join(blocks(path, "sh")).replace("\\\n", " ")
    return [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]


def test_the_readme_has_the_two_commands_and_a_request():
    assert {"make run", "make test"} <= set(commands(README))
    assert any(command.startswith("curl ") for command in commands(README))


@pytest.mark.parametrize("path", [path for path in PAGES if path.name not in RUN], ids=str)
def test_a_shell_command_is_a_target_a_module_or_a_tool(path):
    for command in commands(path):
        words = shlex.split(command)
        program = next(word for word in words if "=" not in word or word.startswith("-"))
        if program == "make":
            assert words[1] in TARGETS, command
        elif program in {"python", ".venv/bin/python"} and "-m" in words:
            assert import_module(words[words.index("-m") + 1]), command
        elif program == "python" and words[1] in PROJECT_FILES:
            continue  # tests/integration/test_examples.py follows the tutorial
        else:
            assert program in TOOLS, command
        for word in words:
            if word.startswith(("docs/", "tests/", "deploy/")) or word.endswith((".yml", ".py")):
                assert (CHECKOUT / word).exists(), command


@every_page
def test_a_make_target_in_the_text_exists(path):
    for target in re.findall(r"`make ([a-z][a-z0-9-]*)", path.read_text()):
        assert target in TARGETS, target


def test_a_shell_block_is_one():
    for path in PAGES:
        for block in blocks(path, "sh"):
            done = subprocess.run(["bash", "-n"], input=block, capture_output=True, text=True, check=False)
            assert done.returncode == 0, f"{path.name}: {done.stderr}"


def test_the_readmes_request_is_one_that_the_order_service_takes():
    from order_service.api import OrderIn

    (request,) = [command for command in commands(README) if command.startswith("curl ")]
    words = shlex.split(request)
    order = OrderIn.model_validate(json.loads(words[words.index("-d") + 1]))
    assert {line.sku for line in order.lines} <= {sku for sku, *_ in CATALOGUE}
    assert "payment_method" in FIELDS["/v1/charges"]
    assert "/v1/orders" in words[1]
    assert {header.partition(":")[0] for header in words if ": " in header} >= {"Authorization", "Idempotency-Key"}


def test_the_payment_methods_of_the_readme_are_the_providers():
    source = (CHECKOUT / "devstack" / "simulators" / "provider.py").read_text()
    found = set(re.findall(r"\btok_\w+", README.read_text()))
    assert found
    assert all(re.search(rf"\b{name}\b", source) for name in found)


def test_every_promise_names_tests_that_exist():
    rows = re.findall(r"^\| (\d) \|(.+)\|(.+)\|$", README.read_text(), re.MULTILINE)
    assert [number for number, _, _ in rows] == [str(n) for n in range(1, 10)]
    for number, _, shown_by in rows:
        tests = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", shown_by)
        assert tests, f"promise {number} names no test"
        for file, function in tests:
            assert function in functions(CHECKOUT / file), f"{file}::{function}"


def test_make_test_runs_every_test_that_shows_a_promise():
    named = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", README.read_text())))
    assert named
    folders = sorted({str(Path(file).parent) for file, _ in named})
    collect = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:randomly", *folders]
    done = subprocess.run(collect, cwd=CHECKOUT, capture_output=True, text=True, check=False, timeout=120)
    run = {line.partition("[")[0] for line in done.stdout.splitlines()}
    assert [f"{file}::{test}" for file, test in named if f"{file}::{test}" not in run] == []


def functions(path: Path) -> set[str]:
    return {node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)}


@every_page
def test_python_in_the_docs_compiles(path):
    for block in blocks(path, "python"):
        compile(block, str(path), "exec")


@every_page
def test_a_link_leads_somewhere(path):
    for target in re.findall(r"\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)", path.read_text()):
        assert (path.parent / target).exists(), target


@every_page
def test_a_test_or_module_that_is_named_in_full_exists(path):
    named = r"`((?:tests|waybill|schemas|devstack|outbox_relay|deploy|docs|\w+_service)/[\w/.-]+\.\w+)(?:::(\w+))?`"
    for file, function in re.findall(named, path.read_text()):
        assert (CHECKOUT / file).is_file() or (BOOKINGS / file).is_file(), file
        assert not function or function in functions(CHECKOUT / file), f"{file}::{function}"


@every_page
def test_lines_are_short_and_plain(path):
    text = path.read_text()
    outside = BLOCK.sub("", text)
    long = [line for line in outside.splitlines() if len(line) > 120 and not line.startswith("|")]
    assert long == []
    assert not re.search("[\U0001f300-\U0001faff\u2600-\u27bf]", text), "no emoji"
    assert text.endswith("\n")

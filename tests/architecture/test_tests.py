"""What tests share stands in tests/support; benchmarks and generators use nothing of the tests."""

import ast
from pathlib import Path

import pytest

from devstack.folder import CHECKOUT

# Programs of their own, which tests run: they have modules beside their tests.
PROGRAMS = {
    "alerts",
    "chaos",
    "console",
    "containers",
    "handover",
    "kubernetes",
    "model",
    "night",
    "release",
    "storefront",
    "strangler",
}
USERS = ("benchmarks", "catalogue", "deploy", "devstack", "examples", "waybill", "outbox_relay", "schemas")


def imported(path: Path) -> set[str]:
    """Return the modules of `tests` that a file imports, each also as a name imported from its package."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return {name for name in found if name.partition(".")[0] == "tests"}


def files(*folders: str) -> list[Path]:
    return [path for folder in folders for path in sorted((CHECKOUT / folder).rglob("*.py"))]


@pytest.mark.parametrize("path", files("tests"), ids=lambda path: str(path.relative_to(CHECKOUT)))
def test_what_tests_share_stands_in_support(path):
    for name in imported(path):
        words = name.split(".")
        assert not any(word.startswith("test_") or word == "conftest" for word in words), name
        if len(words) > 1 and (CHECKOUT / "/".join(words[:-1])).is_dir() and not PROGRAMS & set(words):
            assert words[1] == "support" or len(words) == 2, f"{name}: what tests share stands in tests/support"


def test_benchmarks_and_generators_import_nothing_of_the_tests():
    assert {str(path.relative_to(CHECKOUT)): names for path in files(*USERS) if (names := imported(path))} == {}

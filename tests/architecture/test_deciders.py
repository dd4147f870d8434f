"""Deciders decide every pair, and take time and ids from their commands; waybill knows no service."""

import ast
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

from devstack.folder import CHECKOUT
from tests.support.services import SERVICES, files_of

DOMAINS = [file for service in SERVICES for file in files_of(service, "domain")]
PURE = [file for service in SERVICES for module in ("domain", "reactions") for file in files_of(service, module)]
CLOCKS_AND_CHANCE = {"time", "random", "secrets", "uuid_utils", "django", "os"}
SHOP = re.compile(
    r"\b(?:orders?|stocks?|skus?|prices?|currenc(?:y|ies)|payments?|charges?|refunds?|customers?|shops?)\b",
    re.IGNORECASE,
)
# A sequence has the same word as the thing that a customer places.
SEQUENCE = re.compile(r"order by|in (?:the )?order\b|version order|orders (?:them|it)\b", re.IGNORECASE)
JOINED = re.compile(r"_|(?<=[a-z])(?=[A-Z])")  # the words of a name


def located(paths: list[Path]) -> list[object]:
    return [pytest.param(path, id=str(path.relative_to(CHECKOUT))) for path in paths]


@pytest.mark.parametrize("path", located(DOMAINS))
def test_no_pair_of_command_and_status_falls_through(path):
    wild = [
        node.lineno
        for match in ast.walk(ast.parse(path.read_text()))
        if isinstance(match, ast.Match)
        for case in match.cases
        for node in _parts(case.pattern)
        if isinstance(node, ast.MatchAs) and node.pattern is None and node.name is None
    ]
    assert wild == [], f"`case _` at lines {wild}: name the pairs instead"


def _parts(pattern: ast.pattern) -> Iterator[ast.pattern]:
    """A pattern and those it is made of, but not the fields of a class: `_` is fine for a field."""
    yield pattern
    if isinstance(pattern, ast.MatchSequence | ast.MatchOr):
        for part in pattern.patterns:
            yield from _parts(part)


@pytest.mark.parametrize("path", located(PURE))
def test_time_and_ids_come_in_the_command(path):
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)}
    assert {name.partition(".")[0] for name in found} & CLOCKS_AND_CHANCE == set()
    made = {name for name in found if name.startswith(("uuid.", "datetime."))}
    assert made <= {"uuid.UUID", "datetime.timedelta"}, "types are fine, `now` and `uuid4` are not"


def words_of(path: Path) -> Iterator[tuple[int, str]]:
    """Every name, text and comment of a file, by line."""
    with path.open("rb") as source:
        for token in tokenize.tokenize(source.readline):
            if token.type in {tokenize.NAME, tokenize.STRING, tokenize.COMMENT}:
                for n, line in enumerate(token.string.splitlines()):
                    yield token.start[0] + n, line


def test_the_library_has_no_word_of_a_shop():
    found = [
        f"{path.relative_to(CHECKOUT)}:{number}: {text.strip()}"
        for path in sorted((CHECKOUT / "waybill").rglob("*.py"))
        for number, text in words_of(path)
        if SHOP.search(SEQUENCE.sub("", JOINED.sub(" ", text)))
    ]
    assert found == []


@pytest.mark.parametrize("text", ["OrderPlaced", "order_id", "unit_price", "UNKNOWN_SKU", "# of the shop", "stock"])
def test_a_word_of_a_shop_is_found_in_any_name(text):
    assert SHOP.search(SEQUENCE.sub("", JOINED.sub(" ", text)))

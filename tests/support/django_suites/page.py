"""The tables of docs/reference/rest-backend.md: counts by suite, and expected failures by reason."""

import re
from collections.abc import Iterable, Mapping
from typing import Final

from devstack.folder import CHECKOUT
from tests.support.django_suites.suites import SUITES
from tests.support.django_suites.verdicts import Group, Verdict

PAGE: Final = CHECKOUT / "docs" / "reference" / "rest-backend.md"
BEGIN, END = "<!-- django-suites -->\n", "<!-- /django-suites -->\n"
ROW: Final = re.compile(r"^\| `(\w+)` \| (\d+) \| (\d+) \| (\d+) \|$", re.MULTILINE)


def read() -> str:
    """Return the tables as they stand on the page."""
    return PAGE.read_text().partition(BEGIN)[2].partition(END)[0]


def write(found: Mapping[str, Verdict], groups: Iterable[Group]) -> None:
    """Write the tables, with the counts that the page had of the suites that did not run."""
    counts = kept(read())
    for suite, verdict in found.items():
        counts[suite] = (verdict.passed, verdict.expected.total(), verdict.skipped)
    before, _, rest = PAGE.read_text().partition(BEGIN)
    suites = [f"| `{suite}` | {' | '.join(map(str, counts[suite]))} |" for suite in SUITES if suite in counts]
    lines = [
        "| Suite | Passed | Expected failures | Skipped by Django |",
        "|---|---|---|---|",
        *suites,
        "",
        *reasons(groups),
    ]
    PAGE.write_text(before + BEGIN + "\n".join(lines) + "\n" + END + rest.partition(END)[2])


def kept(text: str) -> dict[str, tuple[int, int, int]]:
    """Return the counts by suite, as tables have them."""
    return {name: (int(passed), int(expected), int(left)) for name, passed, expected, left in ROW.findall(text)}


def reasons(groups: Iterable[Group]) -> list[str]:
    """Return the table of reasons; a test with several of them stands in each."""
    rows = sorted(((len(group.tests), group.reason) for group in groups), reverse=True)
    return ["| Tests | Fail because |", "|---|---|", *(f"| {tests} | {reason} |" for tests, reason in rows)]

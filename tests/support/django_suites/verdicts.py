"""Outcomes held against `expected.toml`, which says what the backend refuses and which tests need it.

    [[group]]
    reason = "annotate() and aggregate() are refused"
    raises = ['NotSupportedError: annotate']
    tests = ["queries.tests.Queries1Tests.test_ticket1050"]

An expected failure is one whose every error a group of its test names: another error of it is a failure. So is a test
in a group that passes, that does not raise the group's error, or that Django no longer has: the list stays true.
Groups `by_hand` have errors that could be faults too, so that no test gets into them by itself.
"""

import re
import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

EXPECTED: Final = Path(__file__).with_name("expected.toml")


@dataclass(frozen=True, slots=True)
class Group:
    """Tests that fail for one reason, and how."""

    reason: str
    raises: tuple[str, ...]
    tests: frozenset[str]
    by_hand: bool = False

    def names(self, error: str) -> bool:
        """Tell whether this is the group's error."""
        return any(re.match(pattern, error, re.DOTALL) for pattern in self.raises)

    def may_have(self, test: str) -> bool:
        """Tell whether the test may get into the group, or stay in it, by its errors."""
        return not self.by_hand or test in self.tests


@dataclass(slots=True)
class Verdict:
    """One suite's tests, each counted once."""

    passed: int = 0
    expected: Counter[str] = field(default_factory=Counter[str])
    """Tests by reason; one with several reasons counts for the first."""
    failures: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    """What is wrong by test."""
    skipped: int = 0


def read(file: Path = EXPECTED) -> list[Group]:
    """Return the groups of the list."""
    content = tomllib.loads(file.read_text())
    return [
        Group(**one | {"raises": tuple(one["raises"]), "tests": frozenset(one["tests"])}) for one in content["group"]
    ]


def judge(ran: Mapping[str, list[str]], skipped: Iterable[str], groups: Iterable[Group]) -> Verdict:
    """Hold a suite's outcomes against the groups; `ran` has the errors of each test."""
    found = Verdict(skipped=len(set(skipped)))
    groups = list(groups)
    for test, errors in ran.items():
        mine = [group for group in groups if test in group.tests]
        if wrong := _wrong(errors, mine):
            found.failures[test] = wrong
        elif errors:
            found.expected[mine[0].reason] += 1
        else:
            found.passed += 1
    return found


def stale(tests: Iterable[str], suites: Iterable[str], groups: Iterable[Group]) -> dict[str, list[str]]:
    """Return what is wrong with the listed tests of these suites that did not run."""
    ran, suites = set(tests), set(suites)
    return {
        test: [f"expected to fail ({group.reason}), and there is no such test"]
        for group in groups
        for test in sorted(group.tests)
        if _suite(test) in suites and test not in ran
    }


def _suite(test: str) -> str:
    return test.partition(".")[0]


def _wrong(errors: list[str], groups: list[Group]) -> list[str]:
    unnamed = [error for error in errors if not any(group.names(error) for group in groups)]
    idle = [group for group in groups if not any(map(group.names, errors))]
    return unnamed + [f"expected to fail ({group.reason}), and it does not" for group in idle]


def learned(ran: Mapping[str, list[str]], groups: Iterable[Group]) -> list[Group]:
    """Return the groups with the tests that fail as they say, and only these, of the suites that ran."""
    groups = list(groups)
    suites = {_suite(test) for test in ran}
    named = {
        test: errors
        for test, errors in ran.items()
        if all(any(group.may_have(test) and group.names(error) for group in groups) for error in errors)
    }
    return [
        replace(
            group,
            tests=frozenset(test for test in group.tests if _suite(test) not in suites)
            | {test for test, errors in named.items() if group.may_have(test) and any(map(group.names, errors))},
        )
        for group in groups
    ]


def write(groups: Iterable[Group], file: Path = EXPECTED) -> None:
    """Write the list."""
    lines = ["# Tests of Django's that fail on services, by reason: see verdicts.py. `make django-suites ARGS=--write`"]
    lines.append("# puts tests into the groups whose errors they raise; reasons and errors are written by hand.")
    for group in groups:
        lines += ["", "[[group]]", f'reason = "{group.reason}"', "raises = ["]
        lines += [f"    '{pattern}'," for pattern in group.raises]  # literal strings: no pattern has a quote
        lines += [
            "]",
            *(["by_hand = true"] if group.by_hand else []),
            "tests = [",
            *(f'    "{test}",' for test in sorted(group.tests)),
            "]",
        ]
    file.write_text("\n".join(lines) + "\n")

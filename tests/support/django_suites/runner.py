"""The runner within Django's own: it writes down what became of each test, and judges none.

Django's tests count SQL statements with `assertNumQueries`, and a service takes other numbers of calls. A count that is
off is written down as an error of the test, which goes on all the same: what it asserts behind the count counts too.
"""

import json
import os
from pathlib import Path
from typing import Any
from unittest import mock
from urllib.parse import urljoin

import httpx2
from django.core.management.commands import flush
from django.core.management.sql import emit_post_migrate_signal
from django.test.runner import DiscoverRunner
from django.test.testcases import _AssertNumQueriesContext
from django.test.utils import CaptureQueriesContext

counted: list[str] = []
"""Counts of calls that were off in the test that runs."""


def post(connection: Any, path: str) -> None:
    httpx2.post(urljoin(connection.settings_dict["NAME"], path), timeout=60).raise_for_status()


def reset(connection: Any) -> None:
    """Have the service's rows as they were when the tests began (DATABASES' TEST["RESET"])."""
    post(connection, "/reset")


def count(self: Any, *raised: Any) -> None:
    """Stand in for the end of an `assertNumQueries`."""
    CaptureQueriesContext.__exit__(self, *raised)
    if raised[0] is None and len(self) != self.num:
        counted.append(f"CallCount: {len(self)} calls, {self.num} expected")


class Result:
    """Outcomes by test: a list of errors, which is empty where it passed."""

    def startTest(self, test: Any) -> None:
        counted.clear()
        super().startTest(test)

    def stopTest(self, test: Any) -> None:
        if test.id() not in self.skipped_ids:
            self.outcomes.setdefault(test.id(), []).extend(counted)
        super().stopTest(test)

    def addSkip(self, test: Any, reason: str) -> None:
        self.skipped_ids[test.id()] = reason
        super().addSkip(test, reason)

    def addError(self, test: Any, err: Any) -> None:
        self.note(test, err)
        super().addError(test, err)

    def addFailure(self, test: Any, err: Any) -> None:
        self.note(test, err)
        super().addFailure(test, err)

    def addSubTest(self, test: Any, _subtest: Any, err: Any) -> None:
        # Not printed: a subtest's description has its querysets' rows, and to ask for them may be refused too.
        if err is not None:
            self.note(test, err)

    def addUnexpectedSuccess(self, test: Any) -> None:
        self.outcomes.setdefault(test.id(), []).append("UnexpectedSuccess: Django expects this test to fail")
        super().addUnexpectedSuccess(test)

    def note(self, test: Any, err: Any) -> None:
        kind, error, _ = err
        self.outcomes.setdefault(test.id(), []).append(f"{kind.__name__}: {error}")


class Runner(DiscoverRunner):
    """Django's runner, on services that have begun with the rows of `post_migrate`."""

    def get_resultclass(self) -> Any:
        usual = super().get_resultclass() or self.test_runner.resultclass
        self.outcomes: dict[str, list[str]] = {}
        self.skipped: dict[str, str] = {}
        return type("Recorded", (Result, usual), {"outcomes": self.outcomes, "skipped_ids": self.skipped})

    def setup_databases(self, **options: Any) -> Any:
        from django.db import connections

        found = super().setup_databases(**options)
        for connection in connections.all():
            emit_post_migrate_signal(verbosity=0, interactive=False, db=connection.alias)
            post(connection, "/baseline")
        return found

    def run_suite(self, suite: Any, **options: Any) -> Any:
        # The rows that it makes stand in the baseline.
        quiet = mock.patch.object(flush, "emit_post_migrate_signal")
        with quiet, mock.patch.object(_AssertNumQueriesContext, "__exit__", count):
            result = super().run_suite(suite, **options)
        Path(os.environ["SUITE_OUTCOMES"]).write_text(json.dumps({"ran": self.outcomes, "skipped": self.skipped}))
        return result

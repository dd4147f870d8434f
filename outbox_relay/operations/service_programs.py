"""A service's own program, asked for what only it can do: the command knows no decider and no reaction.

The protocol is `waybill.runtime.reports`. The program is this interpreter's, with the same environment.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from tempfile import TemporaryFile
from typing import IO, cast

from outbox_relay.databases import full_name
from outbox_relay.operations.topology import CHECKOUT, Topology
from waybill.runtime import reports
from waybill.runtime.reports import ProgramFailed, Report, Request


def unexpected(report: Report) -> reports.NotAReport:
    """Return the error of a report that answers another question."""
    return reports.NotAReport(f"{reports.in_json(report)} is no answer to what was asked")


def run(
    topology: Topology, service: str, program: Sequence[str], take: Callable[[Report], object], request: Request | None
) -> str | None:
    """Run a program to its end, handing on its reports; returns why it could not do what was asked, if so. Blocks."""
    with TemporaryFile("w+") as errors, TemporaryFile("w+") as asked:
        asked.write(reports.request_in_json(request) if request else "")
        asked.seek(0)
        process = subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-m", "waybill", full_name(service), *program],
            cwd=CHECKOUT,
            env={**os.environ, "WAYBILL_DATABASE_URL": topology.databases[service]},
            stdin=asked,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
        failure: str | None = None
        with process:
            try:
                for line in cast("IO[str]", process.stdout):
                    report = reports.from_json(line)
                    if isinstance(report, ProgramFailed):
                        failure = report.reason
                    else:
                        take(report)
            except BaseException as error:
                process.kill()  # what it was in the middle of is rolled back
                if isinstance(error, reports.NotAReport):
                    return f"{program[0]}: {error}"
                raise
        if failure or process.returncode in {reports.DONE, reports.DIFFERS}:
            return failure
        errors.seek(0)
        return next(reversed(errors.read().strip().splitlines()), f"{program[0]} ended with {process.returncode}")

"""A service's own program, asked for what only it can do: the command knows no decider and no reaction.

The protocol is `waybill.runtime.reports`. The program is this interpreter's, with the same environment: that of
`python -m waybill SERVICE`, or a management command where a Django project has recorded the service's name. A project
connects to the database of its own settings.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from tempfile import TemporaryFile
from typing import IO, Final, cast

import psycopg

from outbox_relay.operations import names
from outbox_relay.operations.names import ServiceName
from outbox_relay.operations.parts import publishes
from outbox_relay.operations.topology import Topology, UsageError, ask, session
from waybill.database.sqlstate import one_line
from waybill.runtime import reports
from waybill.runtime.reports import ProgramFailed, Report, Request

IN_ANOTHER_LANGUAGE: Final = ""
IN_PROJECT: Final = "settings {}: run this in the project's folder, with its environment"


def _environment(database_url: str) -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if name != "WAYBILL_DATABASE_URL_FILE"}
    return own | {"WAYBILL_DATABASE_URL": database_url}


def unexpected(report: Report) -> reports.NotAReport:
    """Return the error of a report that answers another question."""
    return reports.NotAReport(f"{reports.in_json(report)} is no answer to what was asked")


def run(
    topology: Topology, service: str, program: Sequence[str], take: Callable[[Report], object], request: Request | None
) -> str | None:
    """Run a program to its end, handing on its reports; returns why it could not do what was asked, if so. Blocks."""
    try:
        with session(topology.databases[service]) as connection:
            name = names.recorded(service, connection)
    except psycopg.Error as error:
        return one_line(error)
    if name.settings_module == IN_ANOTHER_LANGUAGE:
        return f"{name.group} has no program of ours that could: it publishes from another language"
    with TemporaryFile("w+") as errors, TemporaryFile("w+") as asked:
        asked.write(reports.request_in_json(request) if request else "")
        asked.seek(0)
        process = subprocess.Popen(  # noqa: S603 - our own program
            _command(name, program),
            cwd=topology.folder,
            env=_environment(topology.databases[service]),
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
        said = next(reversed(errors.read().strip().splitlines()), f"{program[0]} ended with {process.returncode}")
        return f"{said}; {IN_PROJECT.format(name.settings_module)}" if name.settings_module else said


def _command(name: ServiceName, program: Sequence[str]) -> list[str]:
    if name.settings_module is None:
        return [sys.executable, "-m", "waybill", name.group, *program]
    return [sys.executable, "-m", "django", *program, "--settings", name.settings_module]


def refuse_projects(topology: Topology, services: Sequence[str], what: str) -> None:
    """Raise UsageError where one is a project without deciders, or only reads; `what` it therefore has not."""
    for service in projects(topology, services):
        raise UsageError(f"{service} is a project without deciders: it has no {what}")


def projects(topology: Topology, services: Sequence[str]) -> list[str]:
    """Return which of these are projects without deciders, or only read what others publish.

    A database that does not answer says nothing.
    """
    answers, _ = ask(
        topology,
        services,
        lambda service, open_: names.recorded(service, open_).settings_module is not None or not publishes(open_),
    )
    return [service for service, without in answers.items() if without]

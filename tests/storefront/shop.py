"""A copy of examples/monolith in an environment of its own, and the tests that it has."""

import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from devstack.folder import CHECKOUT
from tests.support import environments
from tests.support.environments import Environment
from tests.support.postgres import PostgresServer
from tests.support.providers.process import answering, free_port

MONOLITH = CHECKOUT / "examples" / "monolith"
TEST_SECONDS = 240
RAN = re.compile(r"^Ran (\d+) tests? in", re.MULTILINE)
NOT_PASSED = re.compile(r"(?:failures|errors|skipped|expected failures|unexpected successes)=(\d+)")


@dataclass(frozen=True)
class Outcome:
    """How a run of the shop's tests ended, and what it said."""

    passed: int
    failed: int
    said: str


@dataclass(frozen=True)
class Shop:
    """The project's folder, its environment, and its database server."""

    folder: Path
    environment: Environment
    server: PostgresServer

    def test(self, settings: str, name: str, variables: Mapping[str, str]) -> Outcome:
        """Run its tests with one of its settings, on a database of that name; what is skipped has failed."""
        command = ("-W", "error", "manage.py", "test", "--noinput", f"--settings=shop.settings.{settings}")
        done = subprocess.run(
            self.environment.command(*command),
            cwd=self.folder,
            env=environments.surroundings(**variables, **database(self.server, name)),
            capture_output=True,
            text=True,
            timeout=TEST_SECONDS,
            check=False,
        )
        said = done.stdout + done.stderr
        ran = RAN.search(said)
        if ran is None:
            return Outcome(0, 1, said)
        failed = sum(map(int, NOT_PASSED.findall(said.rpartition("\nRan ")[2])))
        return Outcome(int(ran[1]) - failed, failed or int(done.returncode != 0), said)

    @contextmanager
    def serving(self, purpose: str, settings: str, variables: Mapping[str, str], *, demo: bool = True) -> Iterator[str]:
        """Run it on a new database, and yield its address; `demo`: with goods, customers and orders in it."""
        own = f"{purpose}_{settings}"
        self.server.execute(f"CREATE DATABASE {own}")
        told = {**variables, **database(self.server, own), "DJANGO_SETTINGS_MODULE": f"shop.settings.{settings}"}
        for command in ("migrate", "demo") if demo else ("migrate",):
            self.environment.run("manage.py", command, "--verbosity=0", cwd=self.folder, **told)
        port, environment = free_port(), environments.surroundings(**told, DEBUG="1")
        serve = self.environment.command("manage.py", "runserver", "--noreload", str(port))
        with answering(serve, port, self.folder.with_name(f"{own}.log"), environment, self.folder) as url:
            yield url


def copied(folder: Path) -> Path:
    """Return a copy of the project, with no checkout around it."""
    copy = folder / "monolith"
    shutil.copytree(MONOLITH, copy, ignore=shutil.ignore_patterns("__pycache__"))
    return copy


def alone(folder: Path) -> Environment:
    """Make an environment of what the shop requires in one database, and nothing of this repository."""
    return environments.make(folder, *_project(MONOLITH)["dependencies"], python=environments.newest_python())


def with_services(folder: Path, wheel: Path) -> Environment:
    """Make an environment of what the shop and its services require, which the wheel is a part of."""
    shop, services = _project(MONOLITH), _project(MONOLITH / "services")
    required = [*shop["dependencies"], *shop["optional-dependencies"]["services"], *services["dependencies"]]
    given = [f"{one} @ {wheel.as_uri()}" if one.startswith("waybill") else one for one in required]
    return environments.make(folder, *given, python=environments.newest_python())


def database(server: PostgresServer, name: str) -> dict[str, str]:
    """Return the variables by which a project finds its database."""
    return {"DB_NAME": name, "DB_USER": "postgres", "DB_HOST": "127.0.0.1", "DB_PORT": str(server.port)}


def _project(folder: Path) -> dict:
    return tomllib.loads((folder / "pyproject.toml").read_text())["project"]

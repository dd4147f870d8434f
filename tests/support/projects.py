"""The example projects, in folders and an environment of their own: the wheel is all they have of Waybill."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import psycopg

from devstack.harness.stack import CHECKOUT, Stack
from tests.support.environments import Environment, surroundings

EXAMPLES = CHECKOUT / "examples"
STOP_SECONDS = 20


@dataclass
class Project:
    """A Django project with its folder, its environment and its database."""

    name: str
    folder: Path
    environment: Environment
    variables: dict[str, str]
    database_url: str
    running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def manage(self, *arguments: str, timeout: float = 120) -> str:
        """What a management command prints; fails where it does."""
        return self.environment.run(
            "-W", "error", "manage.py", *arguments, cwd=self.folder, timeout=timeout, **self.variables
        )

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """A management command as a program of its own, whose output stands in `log`."""
        with self._log(arguments[0]).open("ab") as log:
            program = subprocess.Popen(
                self.environment.command("manage.py", *arguments),
                cwd=self.folder,
                env=surroundings(**self.variables),
                stdout=log,
                stderr=log,
            )
        self.running.append(program)
        return program

    def log(self, command: str) -> str:
        """The end of what a started command has printed."""
        path = self._log(command)
        return path.read_text()[-3000:] if path.exists() else ""

    def _log(self, command: str) -> Path:
        return self.folder.with_name(f"{self.name}-{command}.log")

    def execute(self, statement: str, *values: object) -> None:
        """Do something in the project's database."""
        with psycopg.connect(self.database_url) as connection:
            connection.execute(statement, values)

    def rows(self, query: str, *values: object) -> list[tuple]:
        """What the project's database answers."""
        with psycopg.connect(self.database_url) as connection:
            return connection.execute(query, values).fetchall()


@contextmanager
def project(stack: Stack, name: str, folder: Path, environment: Environment) -> Iterator[Project]:
    """A copy of an example with an empty database; its programs are killed and its database dropped afterwards."""
    copy = folder / name
    shutil.copytree(EXAMPLES / name, copy, ignore=shutil.ignore_patterns("__pycache__"))
    with psycopg.connect(stack.superuser_url, autocommit=True) as server:
        server.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        server.execute(f"CREATE DATABASE {name}")
    server_url = urlsplit(stack.superuser_url)
    variables = {
        "DB_NAME": name,
        "DB_USER": server_url.username or "",
        "DB_PASSWORD": server_url.password or "",
        "DB_HOST": server_url.hostname or "",
        "DB_PORT": str(server_url.port),
        "WAYBILL_KAFKA_BOOTSTRAP": stack.kafka,
        "WAYBILL_REGISTRY_URL": f"{stack.urls['registry']}/apis/ccompat/v7",
    }
    made = Project(name, copy, environment, variables, stack.database(name))
    try:
        yield made
    finally:
        for program in made.running:
            program.kill()
            program.wait(STOP_SECONDS)
        with psycopg.connect(stack.superuser_url, autocommit=True) as server:
            server.execute(f"DROP DATABASE {name} WITH (FORCE)")

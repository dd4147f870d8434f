"""The example service in Go, on a database of its own, and a Django app whose model it has."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from devstack.folder import CHECKOUT
from devstack.harness.databases import Server, ServiceDatabase
from tests.support import toolchains
from tests.support.outbox_sql import outbox_sql

ALIAS = "reviews"
EXAMPLE = CHECKOUT / "examples" / "reviews-go"
SOURCES = ("contract/*.go", "migrations/*.sql", "schemas/*/*.avsc")
TOKEN = "of a test"
OWN_TABLES = """
GRANT SELECT, INSERT, UPDATE, DELETE ON reviews, kept_answer TO test_service;
GRANT USAGE ON SEQUENCE reviews_id_seq TO test_service;
"""


@dataclass(frozen=True)
class Reviews:
    """The service while it runs."""

    url: str
    database: ServiceDatabase

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {TOKEN}"}


def built() -> str:
    """Return the program, which is built where that was not done yet; skip the test where it cannot be."""
    return toolchains.go(EXAMPLE, "reviews", "the service of reviews", SOURCES)


@contextmanager
def running(server: Server, folder: Path) -> Iterator[Reviews]:
    """Migrate a database for it and start it, as its README says."""
    program = built()
    with server.empty() as database:
        migrate(program, database)
        environment = os.environ | {"DATABASE_URL": database.service_url, "TOKEN": TOKEN, "LISTEN": "127.0.0.1:0"}
        errors = folder / "errors"
        with (
            errors.open("wb") as stderr,
            subprocess.Popen([program], env=environment, stdout=subprocess.PIPE, stderr=stderr) as process,
        ):
            try:
                url = process.stdout.readline().decode().strip()
                assert url, errors.read_text()
                yield Reviews(url, database)
            finally:
                process.terminate()
        assert (process.returncode, errors.read_text()) == (0, "")


def migrate(program: str, database: ServiceDatabase) -> None:
    environment = os.environ | {"DATABASE_URL": database.owner_url, "TOKEN": TOKEN}
    for _ in range(2):  # safe to repeat
        subprocess.run([program, "migrate"], env=environment, check=True, timeout=30, capture_output=True)
    rights = outbox_sql("rights", "--writer", "test_service", "--relay", "test_relay")
    with psycopg.connect(database.owner_url) as owner:
        owner.execute(rights + OWN_TABLES)

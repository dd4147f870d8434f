"""Fresh databases on the session's PostgreSQL, with the same roles and rights as in production."""

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

from devstack.folder import CHECKOUT
from devstack.services import EVERY

ROLES = ("owner", "service", "relay")
PASSWORD = "test"  # noqa: S105 - of roles that own nothing but databases of tests


@dataclass(frozen=True)
class ServiceDatabase:
    """A service's database, by role."""

    name: str
    owner_url: str
    service_url: str
    relay_url: str
    superuser_url: str


@dataclass
class Server:
    """A PostgreSQL server on which a test may make databases."""

    superuser_url: str
    templates: set[str] = field(default_factory=set)

    @contextmanager
    def fresh(self, service: str) -> Iterator[ServiceDatabase]:
        """Yield a migrated, empty database; dropped afterwards."""
        template = f"test_template_{service}"
        if template not in self.templates:
            self._make_template(service, template)
            self.templates.add(template)
        with self._copy_of(template) as database:
            yield database

    @contextmanager
    def empty(self) -> Iterator[ServiceDatabase]:
        """Yield a database without tables, whose roles are there; dropped afterwards."""
        self._make_roles()
        with self._copy_of("template0") as database:
            yield database

    @contextmanager
    def _copy_of(self, template: str) -> Iterator[ServiceDatabase]:
        name = f"test_{uuid.uuid4().hex[:12]}"
        self._execute("CREATE DATABASE {} TEMPLATE {} OWNER {}", name, template, "test_owner")
        try:
            yield self._described(name)
        finally:
            self._execute("DROP DATABASE {} WITH (FORCE)", name)

    def _make_roles(self) -> None:
        for role in ROLES:
            with psycopg.connect(self.superuser_url, autocommit=True) as server:
                known = server.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [f"test_{role}"]).fetchone()
            if not known:
                self._execute(f"CREATE ROLE {{}} LOGIN PASSWORD '{PASSWORD}'", f"test_{role}")

    def _make_template(self, service: str, template: str) -> None:
        self._make_roles()
        self._execute("CREATE DATABASE {} OWNER {}", template, "test_owner")
        described = self._described(template)
        environment = {
            **os.environ,
            "WAYBILL_DATABASE_URL": described.owner_url,
            "WAYBILL_OWNER_DATABASE_URL": described.owner_url,
            "WAYBILL_SERVICE_ROLE": "test_service",
        }
        known = EVERY.get(service.removesuffix("_service"))
        if known is None or "relay" in known.programs:
            environment["WAYBILL_RELAY_ROLE"] = "test_relay"
        subprocess.run(
            [sys.executable, "-m", "waybill", service, "migrate"],
            cwd=CHECKOUT,
            env=environment,
            check=True,
            timeout=300,
        )

    def _described(self, name: str) -> ServiceDatabase:
        def url(user: str | None) -> str:
            parts = urlsplit(self.superuser_url)
            address = parts.netloc.rpartition("@")[2]
            netloc = parts.netloc if user is None else f"{user}:{PASSWORD}@{address}"
            return urlunsplit(parts._replace(netloc=netloc, path=f"/{name}"))

        return ServiceDatabase(name, *(url(f"test_{role}") for role in ROLES), url(None))

    def _execute(self, statement: str, *names: str) -> None:
        with psycopg.connect(self.superuser_url, autocommit=True) as server:
            server.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))

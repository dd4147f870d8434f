"""A module's databases, one a service, as a migration leaves them: each test finds them so, and none is made for it."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

import psycopg
from psycopg import sql

from devstack.harness.databases import Server, ServiceDatabase

TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'django_migrations'"
OTHERS = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> %s"


@dataclass
class Kept:
    """One database, and what stood in it at first."""

    database: ServiceDatabase
    rows: dict[str, str]
    """Table → its rows, as COPY writes them; empty where it had none."""

    def restore(self) -> None:
        """Put every table back as it was; whoever is still connected is not any more."""
        with psycopg.connect(self.database.superuser_url, autocommit=True) as session:
            session.execute(OTHERS, [session.info.backend_pid])
            with session.transaction():
                session.execute("SET LOCAL session_replication_role = replica")  # no trigger keeps what is append-only
                changed = [name for name, rows in self.rows.items() if rows or _has_rows(session, name)]
                truncated = sql.SQL(", ").join(map(sql.Identifier, changed))
                session.execute(sql.SQL("TRUNCATE {} RESTART IDENTITY CASCADE").format(truncated))
                for name, rows in self.rows.items():
                    if rows:
                        with session.cursor().copy(sql.SQL("COPY {} FROM STDIN").format(sql.Identifier(name))) as copy:
                            copy.write(rows)


def _has_rows(session: psycopg.Connection, name: str) -> bool:
    (found,) = session.execute(sql.SQL("SELECT EXISTS (SELECT FROM {})").format(sql.Identifier(name))).fetchone() or (
        False,
    )
    return found


@dataclass
class KeptDatabases:
    """The databases of one module's tests."""

    server: Server
    stack: ExitStack
    kept: dict[str, Kept] = field(default_factory=dict[str, Kept])

    @contextmanager
    def fresh(self, service: str) -> Iterator[ServiceDatabase]:
        """Yield the service's database, which is as a migration leaves it; put back afterwards."""
        if service not in self.kept:
            database = self.stack.enter_context(self.server.fresh(service))
            with psycopg.connect(database.superuser_url, autocommit=True) as session:
                names = [name for (name,) in session.execute(TABLES)]
                self.kept[service] = Kept(database, {name: _rows(session, name) for name in names})
        one = self.kept[service]
        try:
            yield one.database
        finally:
            one.restore()


def _rows(session: psycopg.Connection, name: str) -> str:
    with session.cursor().copy(sql.SQL("COPY {} TO STDOUT").format(sql.Identifier(name))) as copy:
        return b"".join(map(bytes, copy)).decode()


@contextmanager
def kept_databases(server: Server) -> Iterator[KeptDatabases]:
    """Yield the databases, which are made when they are asked for; dropped at the end of the block."""
    with ExitStack() as stack:
        yield KeptDatabases(server, stack)

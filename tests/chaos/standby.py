"""A standby of the stack's database server, for programs that are led to it as after a failover."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from devstack.infrastructure import postgres
from devstack.ports import HOST, choose
from tests.chaos.stage import CONNECTIONS, Stage
from tests.support.postgres import PostgresServer, run_as_user

TABLESPACES = "SELECT pg_tablespace_location(oid) FROM pg_tablespace WHERE pg_tablespace_location(oid) <> ''"


@contextmanager
def standby(stage: Stage) -> Iterator[PostgresServer]:
    """Run a standby that follows the stack's server; it is gone afterwards."""
    with tempfile.TemporaryDirectory(dir=stage.folder.postgres.parent, prefix="standby-") as name:
        folder = Path(name)
        if postgres.is_root():
            user = postgres.ensure_user()
            os.chown(folder, user.pw_uid, user.pw_gid)
        server = PostgresServer(folder, choose(("standby",), {}, {})["standby"])
        copy = (postgres.programs() / "pg_basebackup", "-d", stage.stack.superuser_url, "-D", server.data)
        run_as_user(*copy, "-R", "--checkpoint=fast", *_tablespaces(stage, folder))
        with (server.data / "postgresql.auto.conf").open("a") as settings:
            settings.write(f"max_connections = {CONNECTIONS}\nport = {server.port}\n")
        (server.data / "pg_hba.conf").write_text(f"host all all {HOST}/32 trust\n")
        try:
            server.start()
            yield server
        finally:
            server.kill()


def _tablespaces(stage: Stage, folder: Path) -> list[str]:
    """Put the copies of tablespaces beside the copy of the data; the small disk is one."""
    with stage.superuser() as session:
        found = [location for (location,) in session.execute(TABLESPACES)]
    return [f"--tablespace-mapping={location}={folder / f'space-{n}'}" for n, location in enumerate(found)]

"""DBOS: workflows in one Python process whose steps are kept in PostgreSQL; here in a database of the same server."""

from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg

from benchmarks.peers.workflows import HERE, Engine, environment


def dbos(folder: Path, superuser_url: str) -> Engine:
    """Start DBOS on a database of its own."""
    python = environment("dbos")
    with psycopg.connect(superuser_url, autocommit=True) as server:
        server.execute("CREATE DATABASE dbos")
    url = urlunsplit(urlsplit(superuser_url)._replace(path="/dbos"))
    engine = Engine("dbos", folder / "dbos.log")
    engine.start("sagas", [str(python), "-P", str(HERE / "dbos_saga.py")], DBOS_SYSTEM_DATABASE_URL=url)
    return engine

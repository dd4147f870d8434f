"""A service of the collection contract in a process of its own: any apps' models, on SQLite.

python -m tests.support.collection_server FILE URLCONF APP... prints its address, and serves until its input ends.
"""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import django
from django.apps import apps
from django.conf import settings
from django.core.management import call_command

from devstack.folder import CHECKOUT
from tests.support.postgres import PostgresServer

LIBRARY = ("tests.support.library.urls", "tests.support.library")
KEYS = """
CREATE TABLE waybill_idempotency_key (
    caller text NOT NULL, path text NOT NULL, key text NOT NULL, fingerprint text NOT NULL, status integer NOT NULL,
    headers text NOT NULL, body text NOT NULL, created_at text NOT NULL, PRIMARY KEY (caller, path, key))
"""


@contextmanager
def running(file: Path, urlconf: str, *installed: str, databases: dict | None = None) -> Iterator[str]:
    """Start it, and yield its address."""
    environment = {"DATABASES": json.dumps(databases)} if databases else {}
    with started(__name__, str(file), urlconf, *installed, environment=environment) as url:
        yield url


@contextmanager
def started(
    module: str, *arguments: str, path: tuple[str, ...] = (), environment: dict[str, str] | None = None
) -> Iterator[str]:
    """Start a module that serves, and yield its address. `path`: folders beside the checkout where its apps are."""
    command = [sys.executable, "-W", "ignore", "-m", module, *arguments]
    environment = {"PYTHONPATH": ":".join([str(CHECKOUT), *path]), "PATH": "/usr/bin:/bin"} | (environment or {})
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment) as server:
        try:
            url = server.stdout.readline().decode().strip()
            assert url, f"{module} did not start"
            yield url
        finally:
            server.communicate()


@contextmanager
def library(folder: Path) -> Iterator[str]:
    """Yield a service of the library's collections; WAYBILL_COLLECTIONS_URL names another one that has them."""
    if given := os.environ.get("WAYBILL_COLLECTIONS_URL"):
        yield given
        return
    with running(folder / "library.sqlite", *LIBRARY) as url:
        yield url


def postgresql(server: PostgresServer, name: str = "postgres") -> dict:
    """Return a database of a server as Django's settings have it."""
    where = {"HOST": "127.0.0.1", "PORT": server.port, "NAME": name, "USER": "postgres"}
    return {"ENGINE": "django.db.backends.postgresql", **where}


def tables() -> list:
    """Return the models that have tables, those of ManyToManyFields too."""
    found = {}
    for model in apps.get_models(include_auto_created=True):
        meta = model._meta
        if meta.managed and not meta.proxy and not meta.swapped:
            found.setdefault(meta.db_table, model)
    return list(found.values())


def main(file: str, urlconf: str, *installed: str) -> None:
    Path(file).unlink(missing_ok=True)
    fast = {"init_command": "PRAGMA synchronous=OFF; PRAGMA journal_mode=MEMORY;", "timeout": 30}
    sqlite = {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": file,
        "OPTIONS": fast | {"transaction_mode": "IMMEDIATE"},
    }
    databases = json.loads(os.environ.get("DATABASES", "{}")) or {"default": sqlite}
    settings.configure(
        DATABASES=databases,
        DATABASE_ROUTERS=["tests.support.library.replica.ReadsOfReplica"] if "replica" in databases else [],
        INSTALLED_APPS=[*installed, *(["waybill.rest"] if databases["default"] is not sqlite else [])],
        ROOT_URLCONF=urlconf,
        ALLOWED_HOSTS=["*"],
        SECRET_KEY="of a test",
        DEFAULT_AUTO_FIELD="django.db.models.AutoField",
        USE_TZ=True,
        DATA_UPLOAD_MAX_MEMORY_SIZE=None,
    )
    django.setup()
    create_tables()
    serve_until_input_ends()


def create_tables() -> None:
    """Create the tables of all models, and the one of Idempotency-Keys."""
    from django.db import connection

    there = connection.introspection.table_names()
    with connection.schema_editor() as editor:
        for model in tables():
            # Made with the model whose ManyToManyField it is of, or by the server that ran before.
            if not model._meta.auto_created and model._meta.db_table not in there:
                editor.create_model(model)
        if connection.vendor == "sqlite":
            editor.execute(KEYS)
    if connection.vendor == "postgresql":
        call_command("migrate", "waybill_rest", verbosity=0)


def serve_until_input_ends() -> None:
    """Print the address, and serve the URLs of Django's settings."""
    from django.core.handlers.wsgi import WSGIHandler
    from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler

    class Handler(WSGIRequestHandler):
        disable_nagle_algorithm = True  # headers and body are two writes

        def log_message(self, *_):
            pass

    server = ThreadedWSGIServer(("127.0.0.1", 0), Handler)
    server.set_app(WSGIHandler())
    sys.stdout.write(f"http://127.0.0.1:{server.server_port}/v1\n")
    sys.stdout.flush()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.read()


if __name__ == "__main__":
    main(*sys.argv[1:])

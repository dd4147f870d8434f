"""A PostgreSQL server of a test's own, that may be killed, copied, put back and replaced.

It lies in a temporary folder on a free port, and trusts whoever connects from this machine. The URL stays the same
through every fault: a relay that lost its server finds the next one where the first one was.
"""

import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil
import psycopg

from devstack.folder import ROOT_DATA
from devstack.harness.interrupts import undisturbed
from devstack.harness.wait import wait_until
from devstack.infrastructure import postgres as local
from devstack.ports import HOST, choose

SETTINGS = {
    "listen_addresses": f"{HOST},::1",
    "max_prepared_transactions": "10",
    "shared_buffers": "16MB",
    # What a killed process wrote is safe with the kernel; only a machine that loses power needs fsync.
    "fsync": "off",
    # What is committed without waiting for WAL stays in memory for ten seconds, and a crash removes it.
    "wal_writer_delay": "10s",
    "wal_writer_flush_after": "1GB",
    "checkpoint_timeout": "1h",
    "autovacuum": "off",
}
START_SECONDS = 30


class PostgresServer:
    """One server; `start` after a fault brings it back on the same port."""

    def __init__(self, folder: Path, port: int, programs: Path | None = None):
        self.data, self.port = folder / "data", port
        self._programs = programs or local.programs()
        self.sockets, self._log = folder, folder / "log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def superuser_url(self) -> str:
        return f"postgresql://postgres@{HOST}:{self.port}/postgres"

    def start(self) -> None:
        """Start it, and wait until it lets us in."""
        settings = {**SETTINGS, "port": str(self.port), "unix_socket_directories": self.sockets}
        options = [f"--{name}={value}" for name, value in settings.items()]
        with self._log.open("ab") as log:
            command = [self._programs / "postgres", "-D", self.data, *options]
            self._process = subprocess.Popen(command, cwd="/", stdout=log, stderr=log, **as_user())
        try:
            wait_until(self._answers, deadline_seconds=START_SECONDS, what="PostgreSQL", every_seconds=0.02)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self._log.read_text()[-3000:]}") from None

    def stop(self) -> None:
        """Write everything out and end, as an operator's stop does."""
        assert self._process is not None
        self._process.send_signal(signal.SIGINT)  # a fast shutdown: whoever is connected is sent away
        self._process.wait(START_SECONDS)

    def kill(self) -> None:
        """Kill -9 every process at once: what no WAL file has is gone."""
        if self._process is None or self._process.poll() is not None:
            return
        postmaster = psutil.Process(self._process.pid)
        postmaster.suspend()  # or it would start others in their place
        family = [*postmaster.children(recursive=True), postmaster]
        for one in family:
            one.kill()
        self._process.wait(START_SECONDS)
        psutil.wait_procs(family, START_SECONDS)

    def restart(self) -> None:
        """Kill it and start it again."""
        self.kill()
        self.start()

    def ensure_running(self) -> None:
        """Start it where a test left it stopped."""
        if self._process is None or self._process.poll() is not None:
            self.start()

    def execute(self, statement: str) -> list[tuple[Any, ...]]:
        """Do something as the superuser, outside of any test's database."""
        with psycopg.connect(self.superuser_url, autocommit=True) as connection:
            found = connection.execute(statement)
            return found.fetchall() if found.description is not None else []

    def copy_to(self, target: Path) -> None:
        """Copy the data of a stopped server, file by file."""
        shutil.rmtree(target, ignore_errors=True)
        run_as_user("cp", "-a", self.data, target)

    def put_back(self, copy: Path) -> None:
        """Replace the data of a stopped server by a copy."""
        shutil.rmtree(self.data)
        run_as_user("cp", "-a", copy, self.data)

    def back_up_to(self, target: Path) -> None:
        """Take a base backup of the running server."""
        source = ("--host", HOST, "--port", str(self.port), "--username", "postgres")
        run_as_user(local.programs() / "pg_basebackup", *source, "-D", target, "--checkpoint=fast")

    def recover(self, base: Path, wal: Path, moment: datetime) -> None:
        """Replace the data of a stopped server by a base backup, replay the WAL to a moment, and go on from there."""
        self.put_back(base)
        settings = {
            "restore_command": f"cp {wal}/%f %p",
            "recovery_target_time": moment.isoformat(),
            "recovery_target_action": "promote",
            "archive_mode": "off",  # the new timeline is another backup's
        }
        with (self.data / "postgresql.auto.conf").open("a") as file:
            file.writelines(f"{name} = '{value}'\n" for name, value in settings.items())
        run_as_user("touch", self.data / "recovery.signal")
        self.start()
        recovered = lambda: self.execute("SELECT pg_is_in_recovery()") == [(False,)]  # noqa: E731 - what is waited for
        wait_until(recovered, deadline_seconds=START_SECONDS, what="the end of recovery")

    def dump(self, database: str) -> bytes:
        """Dump one database, as of one moment."""
        return self._client("pg_dump", "--format=custom", "--dbname", database)

    def load(self, database: str, dumped: bytes) -> None:
        """Replace one database by a dump; roles are the server's and stay."""
        self.execute(f"DROP DATABASE {database} WITH (FORCE)")
        self.execute(f"CREATE DATABASE {database} OWNER test_owner TEMPLATE template0")
        self._client("pg_restore", "--exit-on-error", "--dbname", database, given=dumped)

    def _client(self, program: str, *arguments: str, given: bytes | None = None) -> bytes:
        server = ("--host", HOST, "--port", str(self.port), "--username", "postgres")
        command = [local.programs() / program, *server, *arguments]
        done = subprocess.run(command, input=given, capture_output=True, check=False, timeout=60)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout

    @contextmanager
    def standby(self) -> Iterator["PostgresServer"]:
        """Give a standby that follows this server, on a port of its own."""
        with server_folder() as folder:
            standby = PostgresServer(folder, _port())
            source = ("--host", HOST, "--port", str(self.port), "--username", "postgres")
            run_as_user(local.programs() / "pg_basebackup", *source, "-D", standby.data, "-R", "--checkpoint=fast")
            try:
                standby.start()
                yield standby
            finally:
                standby.kill()

    def stop_following(self) -> None:
        """Make a standby lag: what the primary writes from now on does not come here."""
        self.execute("ALTER SYSTEM SET primary_conninfo = ''")
        self.execute("SELECT pg_reload_conf()")
        receivers = "SELECT 1 FROM pg_stat_activity WHERE backend_type = 'walreceiver'"
        wait_until(lambda: not self.execute(receivers), deadline_seconds=10, what="the end of following")

    def move_to(self, port: int) -> None:
        """Start again on another port, as a standby still."""
        self.stop()
        self.port = port
        self.start()

    def start_as_standby(self) -> None:
        """Start a stopped primary as a standby: it can be read, and takes no writes until it is promoted."""
        run_as_user("touch", self.data / "standby.signal")
        self.start()

    def promote(self) -> None:
        """Make a standby the primary."""
        assert self.execute("SELECT pg_promote(true, 30)") == [(True,)]

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self._log.read_text()[-3000:]
        try:
            psycopg.connect(self.superuser_url, connect_timeout=5).close()
        except psycopg.OperationalError:
            return False
        return True


@contextmanager
def postgres_server(programs: Path | None = None) -> Iterator[PostgresServer]:
    """Run a server that only this test has; gone afterwards, whatever happened. `programs` are another version's."""
    with server_folder() as folder:
        server = PostgresServer(folder, _port(), programs)
        trust = ("--auth=trust", "--username=postgres", "--encoding=UTF8", "--no-sync", "--no-instructions")
        own = ("--locale-provider=builtin", "--builtin-locale=C.UTF-8")  # since 17
        locale = ("--locale=C", *(() if programs else own))
        run_as_user((programs or local.programs()) / "initdb", "-D", server.data, *trust, *locale)
        try:
            server.start()
            yield server
        finally:
            with undisturbed():
                server.kill()


@contextmanager
def server_folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="waybill-postgres-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        if local.is_root():
            local.ensure_user()
            ROOT_DATA.mkdir(mode=0o755, parents=True, exist_ok=True)
            local.copy_programs()
            shutil.chown(folder, local.USER, local.USER)
        yield folder


def as_user() -> dict[str, Any]:
    return {"user": local.USER, "group": local.USER, "extra_groups": []} if local.is_root() else {}


def run_as_user(*command: str | Path) -> None:
    done = subprocess.run(command, cwd="/", capture_output=True, text=True, check=False, timeout=60, **as_user())
    assert done.returncode == 0, (command, done.stdout, done.stderr)


def _port() -> int:
    """Choose one that stays free while the server is down: no outgoing connection gets it."""
    return choose(("postgres",), {}, {})["postgres"]

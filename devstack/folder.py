"""The stack's folder: what one stack keeps, what it holds while it runs, and the lock that lets one command in.

    stack.json     ports and secrets, chosen once and kept with the data
    state.json     what tools read while the stack is up: urls, kafka, databases, processes, tokens
    data/          postgres, kafka, registry, provider, mailbox, issuer, gateway
    log/  run/     logs; the supervisor's configuration and pid
    releases/      the code of each release, as its programs run it

Run by root, PostgreSQL's data lies in /var/lib/waybill instead: the server refuses to run as root, and a user of its
own could not enter a checkout below /root without opening that folder to everybody.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from devstack import screen
from devstack.errors import DevstackError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

CHECKOUT = Path(__file__).resolve().parent.parent
ROOT_DATA = Path("/var/lib/waybill")
# A unix socket's path may have 108 bytes on Linux and 104 on macOS, the final zero included; the supervisor binds
# a temporary name first: the path, a dot and its pid.
SOCKET_PATH_BYTES = 90
OWN = frozenset({"stack.json", "state.json", "data", "log", "run", "releases", "lock"})
FORBIDDEN = frozenset("\"';,#%\\\n")


class Folder:
    """Name every file of one stack."""

    def __init__(self, path: Path) -> None:
        self.path = path.expanduser().resolve()
        self.data = self.path / "data"
        self.log = self.path / "log"
        self.run = self.path / "run"
        self.releases = self.path / "releases"
        self.stack_file = self.path / "stack.json"
        self.state_file = self.path / "state.json"
        self.lock_file = self.path / "lock"
        self.supervisor_config = self.run / "supervisord.conf"
        self.supervisor_pid = self.run / "supervisord.pid"
        self.key = hashlib.sha256(os.fsencode(self.path)).hexdigest()[:12]

    @classmethod
    def find(cls, environment: Mapping[str, str] = os.environ) -> Folder:
        """Return the folder named by WAYBILL_HOME, or `.waybill` in the checkout."""
        return cls(Path(environment.get("WAYBILL_HOME") or CHECKOUT / ".waybill"))

    @property
    def socket(self) -> Path:
        """Name the supervisor's socket, outside the folder where the folder's own path is too long for one."""
        inside = self.run / "supervisor.sock"
        if len(os.fsencode(inside)) <= SOCKET_PATH_BYTES:
            return inside
        return Path(tempfile.gettempdir()) / f"waybill-{os.getuid()}-{self.key}" / "s"

    @property
    def postgres(self) -> Path:
        """Name the folder of PostgreSQL's data."""
        return (ROOT_DATA / self.key if os.geteuid() == 0 else self.data) / "postgres"

    def check(self) -> None:
        """Refuse a folder that holds something else, or whose path would break a configuration.

        Raises:
            DevstackError: the path cannot be used.

        """
        # These end a value in the configuration of the supervisor, of Kafka or of the registry, however it is quoted.
        for path in (self.path, CHECKOUT):
            if marks := sorted(FORBIDDEN & set(str(path))):
                raise DevstackError(
                    f"{path}: the path may not contain {marks[0]!r}; set WAYBILL_HOME to another folder"
                )
        with suppress(FileNotFoundError):
            try:
                foreign = sorted({entry.name for entry in self.path.iterdir()} - OWN)
            except NotADirectoryError:
                raise DevstackError(f"{self.path} is a file; set WAYBILL_HOME to a folder") from None
            except PermissionError:
                raise DevstackError(f"{self.path} is somebody else's; set WAYBILL_HOME to a folder of yours") from None
            if foreign and not self.stack_file.exists():
                raise DevstackError(
                    f"{self.path} holds other files ({foreign[0]}); set WAYBILL_HOME to a folder of its own"
                )

    def prepare(self) -> None:
        """Make the folders, for their owner only.

        Raises:
            DevstackError: the path cannot be written.

        """
        try:
            for folder in (self.data, self.log, self.run, self.socket.parent):
                folder.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise DevstackError(
                f"cannot use {self.path}: {error.strerror}; set WAYBILL_HOME to a folder of yours"
            ) from error
        if self.socket.parent.stat().st_uid != os.getuid():
            raise DevstackError(
                f"{self.socket.parent} belongs to somebody else; remove it or set TMPDIR to another folder"
            )

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Let one command at a time change the stack; wait for the one before. A killed holder frees the lock.

        Raises:
            DevstackError: the folder cannot be written.

        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            handle = self.lock_file.open("w")
        except OSError as error:
            raise DevstackError(
                f"cannot use {self.path}: {error.strerror}; set WAYBILL_HOME to a folder of yours"
            ) from error
        with handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                screen.say(f"another command is at work on {self.path}; waiting for it")
                fcntl.flock(handle, fcntl.LOCK_EX)
            yield

    def wipe(self) -> None:
        """Remove the data, and nothing that this package did not make."""
        for folder in (self.data, self.log, self.run, self.releases, self.postgres.parent):
            shutil.rmtree(folder, ignore_errors=True)
        for file in (self.stack_file, self.state_file):
            file.unlink(missing_ok=True)
        if self.socket.parent != self.run:
            shutil.rmtree(self.socket.parent, ignore_errors=True)


def read_json(file: Path) -> dict[str, Any]:
    """Return the file's object, or an empty one where the file is missing or was cut short."""
    with suppress(OSError, ValueError):
        content = json.loads(file.read_text())
        if isinstance(content, dict):
            return content
    return {}


def write_json(file: Path, content: Mapping[str, Any]) -> None:
    """Replace the file in one step, readable by its owner only."""
    handle, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    try:
        with os.fdopen(handle, "w") as stream:
            json.dump(content, stream, indent=2)
            stream.write("\n")
        Path(name).replace(file)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


@contextmanager
def state_locked(folder: Folder) -> Iterator[None]:
    """Keep the state file's two writers, `up` and the state keeper, from crossing."""
    with (folder.run / "state.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def remove_orphaned_data() -> None:
    """Remove what root's earlier stacks left in /var/lib/waybill when their own folders were deleted."""
    if os.geteuid() != 0 or not ROOT_DATA.is_dir():
        return
    for owner in ROOT_DATA.glob("*/owner"):
        stack = Path(owner.read_text().strip())
        if not stack.exists():
            shutil.rmtree(owner.parent, ignore_errors=True)

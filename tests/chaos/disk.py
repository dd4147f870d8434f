"""A small disk for one service's database, which a run can fill and free: a tmpfs with a tablespace on it.

Only root may mount one. Elsewhere nothing is mounted, and the run says so.
"""

import os
import pwd
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from devstack.infrastructure.postgres import USER

SERVICE = "payment"
BYTES = 256_000_000
CHUNK = b"\0" * 1_000_000


@dataclass
class Disk:
    """The disk of one database, mounted once the server's folder is there."""

    home: Path
    is_mounted: bool = False

    @classmethod
    @contextmanager
    def mounted(cls, server: Path) -> Iterator["Disk"]:
        """Yield the disk, which `take` mounts; unmounted afterwards, when nobody uses it any more."""
        disk = cls(server / "disk")
        try:
            yield disk
        finally:
            if disk.is_mounted:
                subprocess.run(["umount", "--lazy", disk.home], check=False, capture_output=True)

    def take(self, superuser: Callable[[], psycopg.Connection[Any]]) -> None:
        """Mount the disk and move the service's empty database there; does nothing where that is not allowed."""
        if os.geteuid() != 0:
            return
        self.home.mkdir(exist_ok=True)
        user = pwd.getpwnam(USER)
        options = f"size={BYTES},mode=0700,uid={user.pw_uid},gid={user.pw_gid}"
        command = ["mount", "-t", "tmpfs", "-o", options, "waybill-chaos", str(self.home)]
        self.is_mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
        if self.is_mounted:
            with superuser() as session:
                session.execute(f"CREATE TABLESPACE small LOCATION '{self.home}'")
                session.execute(f"ALTER DATABASE {SERVICE} SET TABLESPACE small")

    def fill(self) -> None:
        """Take all the room that is left."""
        with suppress(OSError), (self.home / "filler").open("wb", buffering=0) as file:
            while True:
                file.write(CHUNK)

    def free(self) -> None:
        """Give the room back."""
        (self.home / "filler").unlink(missing_ok=True)

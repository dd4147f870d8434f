"""A clock for each service that a run can move while the programs run.

The C library's clock is wrapped by a small preloaded library (`clock.c`), built here. Where there is no C
compiler no clock jumps, and the run says so.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from devstack.services import SERVICES

SOURCE = Path(__file__).with_name("clock.c")
LONG_BYTES = 8


@dataclass(frozen=True)
class Clock:
    """Files with the seconds that each service's clock is ahead; no library where it could not be built."""

    folder: Path
    library: Path | None

    @classmethod
    @contextmanager
    def made(cls, folder: Path) -> Iterator["Clock"]:
        """Build the library and set every clock right."""
        compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
        library = folder / "clock.so"
        built = compiler is not None and os.uname().sysname == "Linux"
        if built:
            command = [str(compiler), "-shared", "-fPIC", "-O1", "-o", str(library), str(SOURCE), "-ldl"]
            built = subprocess.run(command, capture_output=True, check=False).returncode == 0
        clock = cls(folder, library if built else None)
        clock.set(0)
        yield clock

    def set(self, seconds: int, service: str = "") -> None:
        """Move a service's clock so far ahead of the truth, or every service's."""
        for name in [service] if service else SERVICES:
            with self._file(name).open("r+b" if self._file(name).exists() else "wb") as file:
                file.write(seconds.to_bytes(LONG_BYTES, "little", signed=True))

    def environment(self, program: str) -> Mapping[str, str]:
        """Return what a service's program is started with."""
        service = program.partition(".")[0]
        if self.library is None or service not in SERVICES:
            return {}
        return {"LD_PRELOAD": str(self.library), "WAYBILL_CHAOS_CLOCK": str(self._file(service))}

    def _file(self, service: str) -> Path:
        return self.folder / f"clock.{service}"

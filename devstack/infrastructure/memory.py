"""Check for enough free memory before anything starts: a JVM that is killed half-way says nothing useful."""

from __future__ import annotations

import os
import resource
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from devstack.errors import DevstackError

if TYPE_CHECKING:
    from collections.abc import Iterable

# Resident, measured after a start and rounded up; a program of a service is the last entry.
NEEDED_MB = {"postgres": 150, "kafka": 400, "registry": 350, "provider": 30, "mailbox": 40, "gateway": 90}
NEEDED_MB |= {"otlp": 50, "zipkin": 330, "prometheus": 200}
PROGRAM_MB = 80
# A JVM reserves more addresses than it ever uses: heap, code, class space and threads.
ADDRESSES_MB = 4_000
JAVA = frozenset({"kafka", "registry", "zipkin"})


def check(parts: Iterable[str]) -> None:
    """Refuse to start where the parts would not fit.

    Raises:
        DevstackError: too little memory is free, or the process may not use enough.

    """
    chosen = list(parts)
    needed = int(os.environ.get("WAYBILL_MEMORY_MB") or needed_mb(chosen))
    if (available := available_mb()) < needed:
        raise DevstackError(
            f"too little memory: about {needed} MB are needed and {available} MB are free; "
            "close something, or set WAYBILL_MEMORY_MB to what you think is enough"
        )
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    if JAVA & set(chosen) and soft != resource.RLIM_INFINITY and soft >> 20 < ADDRESSES_MB:
        raise DevstackError(
            f"too little memory: `ulimit -v` allows {soft >> 20} MB, Java needs {ADDRESSES_MB} MB; raise it"
        )


def needed_mb(parts: Iterable[str]) -> int:
    """Return what these parts take together."""
    return sum(NEEDED_MB.get(part, PROGRAM_MB) for part in parts)


def available_mb() -> int:
    """Return what may still be used, by the machine or by the container we are in, whichever is less."""
    available = psutil.virtual_memory().available
    with suppress(OSError, ValueError):
        group = Path("/sys/fs/cgroup")
        limit = int((group / "memory.max").read_text())
        used = int((group / "memory.current").read_text())
        # The page cache counts as used, though it is given back when wanted.
        fields = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
        available = min(available, limit - used + int(fields["inactive_file"]) + int(fields["active_file"]))
    return available >> 20

"""Programs of Debian's package `prometheus`, which no registry of Python or Java has: prometheus and promtool.

The machine's own, or unpacked into the cache from the package that apt-get fetches and checks by its signature; nothing
is installed. Elsewhere than on Debian and its children there is none, and whoever asks does without.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

from devstack.cache import artifacts

PACKAGE = "prometheus"
FETCH_SECONDS = 120


@cache
def program(name: str) -> Path | None:
    """Return a program of the package; None where it cannot be had. May block for a minute the first time."""
    if installed := shutil.which(name):
        return Path(installed)
    home = artifacts.cache() / PACKAGE
    kept = home / "usr" / "bin" / name
    if not kept.exists() and shutil.which("apt-get") and shutil.which("dpkg-deb"):
        fetch(home)
    return kept if kept.exists() else None


def fetch(home: Path) -> None:
    """Unpack the package; apt's lists are read into a scratch folder where the machine has none."""
    home.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=home.parent, prefix=f".{PACKAGE}-") as scratch:
        lists = Path(scratch) / "lists"
        (lists / "partial").mkdir(parents=True)
        own_lists = ("-o", f"Dir::State::Lists={lists}", "-o", "APT::Sandbox::User=root")
        download = ("apt-get", "-q", "download", PACKAGE)
        try:
            if not run(scratch, *download):
                run(scratch, "apt-get", "-q", "update", *own_lists)
                run(scratch, *download, *own_lists)
            for package in Path(scratch).glob(f"{PACKAGE}_*.deb"):
                if run(scratch, "dpkg-deb", "-x", str(package), "unpacked"):
                    (Path(scratch) / "unpacked").rename(home)
        except (OSError, subprocess.TimeoutExpired):
            return  # no network, or another process was quicker


def run(folder: str, *command: str) -> bool:
    """Run a command of apt's; tell whether it succeeded."""
    done = subprocess.run(command, cwd=folder, capture_output=True, timeout=FETCH_SECONDS, check=False)
    return done.returncode == 0

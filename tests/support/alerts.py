"""The alert rules as a test sees them, and Prometheus' own tool that tries them."""

import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from devstack.cache.artifacts import cache as cache_folder
from devstack.harness.stack import CHECKOUT
from waybill.observability.metrics import METRICS

FILES = sorted((CHECKOUT / "deploy" / "alerts").glob("*.yml"))
SUFFIXES = ("_count", "_sum", "_bucket")
OF_PROMETHEUS = frozenset({"up"})  # it makes this series itself: 1 where the last scrape was answered
FETCH_SECONDS = 120

_ALERT = re.compile(r"- alert: (\w+)\n\s+expr: (.+)\n(?:.*\n)*?\s+runbook: docs/runbook\.md#([\w-]+)")
_SELECTOR = re.compile(r"\b([a-z]\w+)\b(?!\s*\()(?:\{([^}]*)\})?")
_MATCHER = re.compile(r'(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"')


class Alert(NamedTuple):
    """A rule: its name, what it asks, and the runbook's entry that it names."""

    name: str
    expression: str
    entry: str


class Selector(NamedTuple):
    """A metric's name, and what its labels must be."""

    name: str
    matchers: tuple[tuple[str, str, str], ...]

    def takes(self, name: str, labels: Mapping[str, str]) -> bool:
        return name == self.name and all(_holds(labels.get(label, ""), how, of) for label, how, of in self.matchers)


ALERTS = [Alert(*found) for file in FILES for found in _ALERT.findall(file.read_text())]


def known_series() -> set[str]:
    """Return the names of all series that a program, or Prometheus itself, can show."""
    return {f"{name}{suffix}" for name in METRICS for suffix in ("", *SUFFIXES)} | OF_PROMETHEUS


def selectors(expression: str) -> set[Selector]:
    """Return what an expression reads."""
    known = known_series()
    return {
        Selector(name, tuple(_MATCHER.findall(labels)))
        for name, labels in _SELECTOR.findall(expression)
        if name in known
    }


def _holds(value: str, how: str, of: str) -> bool:
    is_regex, wanted = how.endswith("~"), not how.startswith("!")
    return (bool(re.fullmatch(of, value)) if is_regex else value == of) is wanted


def promtool() -> Path:
    """Return promtool; skips the test where there is none and none can be fetched."""
    found = _found()
    if found is None:
        pytest.skip("promtool is missing, and apt-get cannot fetch it: install Debian's package prometheus")
    return found


@cache
def _found() -> Path | None:
    """Return the machine's promtool, or one unpacked from Debian's package into the cache.

    apt checks the package by its signature. Its lists are read into a scratch folder where the machine has none.
    """
    if installed := shutil.which("promtool"):
        return Path(installed)
    kept = cache_folder() / "promtool" / "usr" / "bin" / "promtool"
    if not kept.exists() and shutil.which("apt-get") and shutil.which("dpkg-deb"):
        _fetch(kept.parents[2])
    return kept if kept.exists() else None


def _fetch(home: Path) -> None:
    home.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=home.parent, prefix=".promtool-") as scratch:
        lists = Path(scratch) / "lists"
        (lists / "partial").mkdir(parents=True)
        own_lists = ("-o", f"Dir::State::Lists={lists}", "-o", "APT::Sandbox::User=root")
        download = ("apt-get", "-q", "download", "prometheus")
        try:
            if not _run(scratch, *download):
                _run(scratch, "apt-get", "-q", "update", *own_lists)
                _run(scratch, *download, *own_lists)
            for package in Path(scratch).glob("prometheus_*.deb"):
                if _run(scratch, "dpkg-deb", "-x", str(package), "unpacked"):
                    (Path(scratch) / "unpacked").rename(home)
        except (OSError, subprocess.TimeoutExpired):
            return  # no network, or another process was quicker


def _run(folder: str, *command: str) -> bool:
    done = subprocess.run(command, cwd=folder, capture_output=True, timeout=FETCH_SECONDS, check=False)
    return done.returncode == 0

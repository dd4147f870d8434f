"""The alert rules as a test sees them, and Prometheus' own tool that tries them."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

from devstack.cache import debian
from devstack.harness.stack import CHECKOUT
from waybill.observability.metrics import METRICS

FILES = sorted((CHECKOUT / "deploy" / "alerts").glob("*.yml"))
OUTAGES = [file for file in FILES if file.name == "waybill.yml"]  # rules that fire within minutes
SUFFIXES = ("_count", "_sum", "_bucket")
OF_PROMETHEUS = frozenset({"up"})  # it makes this series itself: 1 where the last scrape was answered

_ALERT = re.compile(r"- alert: (\w+)\n\s+expr: (.+)\n(?:(?!\s+- ).*\n)*?\s+runbook: docs/runbook\.md#([\w-]+)")
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
OUTAGE_ALERTS = [Alert(*found) for file in OUTAGES for found in _ALERT.findall(file.read_text())]
RECORDED = frozenset(name for file in FILES for name in re.findall(r"- record: (\S+)", file.read_text()))


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
    found = debian.program("promtool")
    if found is None:
        pytest.skip("promtool is missing, and apt-get cannot fetch it: install Debian's package prometheus")
    return found

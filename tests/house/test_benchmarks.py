"""The page of the benchmarks says what was measured, and the page of the relay what was measured with."""

import json
import re

import pytest

from benchmarks import page
from benchmarks.peers import debezium, lock
from benchmarks.ratios import GOALS, MEANING, ratios
from devstack.download import read_lock
from tests.house import CHECKOUT

RESULT = json.loads(page.RESULTS.read_text())
RELAY_PAGE = (CHECKOUT / "docs" / "relay.md").read_text()


def test_tables_and_plot_are_those_of_the_results():
    assert page.PAGE.read_text() == page.page(RESULT, page.PAGE.read_text()), "run: python -m benchmarks.page"
    assert page.PLOT.read_text() == page.plot(RESULT), "run: python -m benchmarks.page"


def test_every_ratio_was_measured_and_follows_from_the_runs():
    assert list(RESULT["ratios"]) == list(MEANING)
    assert ratios(RESULT) == RESULT["ratios"]
    assert set(GOALS) <= set(MEANING)


def test_what_ran_is_what_the_files_say_today():
    ran = {name: value for name, value in RESULT["settings"]["debezium"].items() if name != "jvm"}
    assert ran == debezium.connector_settings(), "the settings were changed since: run make bench-relay"


@pytest.mark.parametrize("file", [debezium.CONNECTOR, debezium.PUBLICATION], ids=lambda file: file.name)
def test_the_relays_page_shows_what_the_benchmark_runs(file):
    shown = re.findall(r"^```\w+\n(.*?)^```$", RELAY_PAGE, re.MULTILINE | re.DOTALL)
    assert file.read_text() in shown


def test_the_lock_is_of_the_versions_that_are_named():
    (download,) = read_lock(["debezium"], lock.LOCK)
    locked = {f"{one.group}:{one.name}:{one.version}" for one in download.artifacts}
    assert {lock.DEBEZIUM, *lock.WITH} <= locked
    assert all(re.fullmatch(r"[0-9a-f]{64}", one.sha256) and one.size_bytes > 0 for one in download.artifacts)


def run(phase: str, peer: str, seconds: float, *, cpu_us: float = 10, peak_bytes: int = 100, repeat: int = 1) -> dict:
    return {
        "phase": phase,
        "peer": peer,
        "repeat": repeat,
        "events": 1_000,
        "seconds": seconds,
        "cpu_us": {"peer": cpu_us},
        "peak_bytes": peak_bytes,
    }


def test_bigger_is_better_in_every_ratio():
    phase = "throughput 1,000"
    result = {
        "runs": [
            run(phase, "relay", 1),
            run(phase, "relay", 1),
            run(phase, "relay", 1_000, repeat=0),  # warm-up
            run(phase, "debezium", 2, cpu_us=40, peak_bytes=300),
            run(phase, "bare", 0.5),
            run(phase, "django_outbox_pattern", 50),
            run("quiet", "relay", 1),
            run("a session that wrote", "relay", 4),
            run("10 in the log", "relay", 1),
            run("99 in the log", "relay", 2),
        ],
        "latencies": [{"peer": "relay", "p50_ms": 1}, {"peer": "debezium", "p50_ms": 6}],
        "settings": {"disturbances": ["quiet", "a session that wrote"], "logs": [10, 99]},
    }
    assert ratios(result) == {
        "vs_debezium_throughput": 2,
        "vs_debezium_cpu": 4,
        "vs_debezium_memory": 3,
        "vs_debezium_p50": 6,
        "vs_bare_producer": 0.5,
        "vs_django_outbox_pattern": 50,
        "worst_disturbed": 0.25,
        "flatness": 0.5,
    }


def test_the_lower_size_counts():
    sizes = {"throughput 1,000": (1, 3), "throughput 5,000": (1, 2)}
    runs = [
        run(phase, peer, seconds)
        for phase, (ours, theirs) in sizes.items()
        for peer, seconds in {"relay": ours, "debezium": theirs, "bare": 1, "django_outbox_pattern": 1}.items()
    ]
    result = {"runs": runs, "latencies": [], "settings": {"disturbances": [], "logs": []}}
    assert ratios(result)["vs_debezium_throughput"] == 2

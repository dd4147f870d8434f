"""The page of the benchmarks says what was measured, and the page of the relay what was measured with."""

import json
import re

import pytest

from benchmarks import housekeeping_page, page, saga_page, tracing, tracing_page
from benchmarks.growth import grown
from benchmarks.growth import page as growth_page
from benchmarks.peers import debezium, lock, temporal, workflows
from benchmarks.ratios import GOALS, MEANING, ratios
from devstack.cache.artifacts import read_lock
from devstack.folder import CHECKOUT

RESULT = json.loads(page.RESULTS.read_text())
RELAY_PAGE = (CHECKOUT / "docs" / "relay.md").read_text()


def test_tables_and_plot_are_those_of_the_results():
    assert page.PAGE.read_text() == page.page(RESULT, page.PAGE.read_text()), "run: python -m benchmarks.page"
    assert page.PLOT.read_text() == page.plot(RESULT), "run: python -m benchmarks.page"


def test_the_table_of_traces_is_that_of_its_results_and_follows_from_the_turns():
    found = json.loads(tracing_page.RESULTS.read_text())
    text = tracing_page.PAGE.read_text()
    assert text == tracing_page.page(found, text), "run: python -m benchmarks.tracing_page"
    assert tracing.figures(found["turns"]).items() <= found.items()


def test_the_tables_of_many_orders_are_those_of_the_results():
    if not growth_page.RESULTS.exists():
        pytest.skip("not measured with 5,000,000 orders yet: make bench-saga ARGS=--grown")
    found = json.loads(growth_page.RESULTS.read_text())
    text = growth_page.PAGE.read_text()
    assert text == growth_page.page(found, text), "run: python -m benchmarks.growth.page"
    assert grown.figures(found["turns"]).items() <= found.items()


def test_every_ratio_was_measured_and_follows_from_the_runs():
    assert list(RESULT["ratios"]) == list(MEANING)
    assert ratios(RESULT) == RESULT["ratios"]
    assert set(GOALS) <= set(MEANING)


def test_what_ran_is_what_the_files_say_today():
    ran = {name: value for name, value in RESULT["settings"]["debezium"].items() if name != "jvm"}
    if ran["table.include.list"] == "public.outbox":  # the table's name when it was measured
        ran["table.include.list"] = "public.waybill_outbox"
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


SAGAS = json.loads(saga_page.RESULTS.read_text())


def test_the_tables_of_the_sagas_are_those_of_the_results():
    assert saga_page.PAGE.read_text() == saga_page.page(SAGAS, saga_page.PAGE.read_text()), (
        "run: python -m benchmarks.saga_page"
    )
    assert saga_page.ratios(SAGAS["turns"]).items() <= SAGAS.items()
    assert saga_page.same_work_ratios(SAGAS.get("same_work", [])).items() <= SAGAS.items()


def test_the_versions_that_are_named_are_those_that_are_installed():
    said = SAGAS["conditions"]["versions"]
    names = ("temporal", "dbos", "temporal_orders", "dbos_orders")
    installed = [(workflows.HERE / f"{name}.txt").read_text().splitlines()[0] for name in names]
    assert all(one.replace("==", " ") in said for one in installed)
    assert f"temporal {temporal.VERSION}" in said


def turn(who: str, in_flight: int, seconds: float, **latency: float) -> dict:
    found = {"p50_ms": 1, "p99_ms": 2, **latency}
    return {"who": who, "in_flight": in_flight, "sagas": 100, "seconds": seconds, "cpu_ms": {"a": 1, "b": 2}, **found}


def test_our_best_rate_stands_against_the_better_peers_best():
    turns = [
        *(turn("waybill", 1, 4, p50_ms=30, p99_ms=90), turn("waybill", 8, 0.5)),
        *(turn("temporal", 1, 2), turn("temporal", 8, 4), turn("dbos", 1, 8), turn("dbos", 8, 1)),
    ]
    assert saga_page.ratios(turns) == {
        "sagas_per_s": 200,
        "vs_best_peer": 2,
        "vs_temporal": 4,
        "vs_dbos": 2,
        "cpu_ms_per_order": 3,
        "p50_ms": 30,
        "p99_ms": 90,
    }


def test_at_the_same_work_each_number_in_flight_has_its_better_peer():
    turns = [
        turn("waybill", 8, 1),
        turn("temporal", 8, 4),
        turn("dbos", 8, 2),
        turn("waybill", 50, 1),
        turn("dbos", 50, 1),
    ]
    assert saga_page.same_work_ratios(turns) == {
        "vs_best_peer_same_work_8": 2,
        "vs_best_peer_same_work_50": 1,
        "cpu_ms_per_order_8": 3,
    }


def test_a_peer_that_was_not_there_has_no_ratio():
    assert saga_page.ratios([turn("waybill", 1, 1), turn("dbos", 1, 2)])["vs_temporal"] is None


def test_the_table_of_housekeeping_is_that_of_its_result():
    result, text = json.loads(housekeeping_page.RESULTS.read_text()), housekeeping_page.PAGE.read_text()
    assert text == housekeeping_page.page(result, text), "run: python -m benchmarks.housekeeping --page"

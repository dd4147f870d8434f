"""Every metric that is used is declared, every declared one is used, and the names follow one rule."""

import ast
import re
import subprocess
import sys
from collections import defaultdict
from importlib import import_module
from pathlib import Path
from typing import get_args

from prometheus_client import Counter, Gauge, Histogram

from devstack.folder import CHECKOUT
from outbox_relay.relay.program import exposure as relay_exposure
from tests.support.alerts import promtool
from tests.support.services import SERVICES
from waybill.observability import exposure, metrics
from waybill.observability.metrics import METRICS, Name

CALLS = {"inc": (Counter, Gauge), "put": (Gauge,), "observe": (Histogram,)}
PARTS = ("aggregate", "consumer", "gate", "http", "outbox", "shadow", "waybill", "worker")
# A thing that is counted or measured in itself needs no unit behind it; each with what one unit of it is.
UNITLESS = {
    "aggregate_open": "aggregates",
    "consumer_dead_letters": "messages",
    "consumer_missing_records": "offsets",
    "consumer_stopped": "0 or 1",
    "gate_waiting": "requests",
    "outbox_dead_letters": "publications",
    "outbox_records_without_event": "records",
    "outbox_relay_leader": "0 or 1",
    "shadow_pending": "comparisons",
    "waybill_build_info": "1",
    "waybill_database_up": "0 or 1",
    "waybill_table_rows": "rows",
    "waybill_waiting": "0 or 1",
    "worker_breaker_open": "0 or 1",
    "worker_due": "due rows",
}
SHAPE = re.compile(rf"({'|'.join(PARTS)})_[a-z_]+_(seconds|bytes|total)")


def sources() -> list[Path]:
    return [p for package in ("waybill", *SERVICES, "outbox_relay") for p in (CHECKOUT / package).rglob("*.py")]


def uses() -> dict[str, list[tuple[str, str, set[str]]]]:
    """Metric → place, call and labels of each use."""
    found: defaultdict[str, list[tuple[str, str, set[str]]]] = defaultdict(list)
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Call(func=ast.Attribute(value=ast.Name(id="metrics"), attr=call), args=[first, *_]):
                    if call not in CALLS:
                        continue
                    assert isinstance(first, ast.Constant), f"{path}:{node.lineno}: name the metric where it is used"
                    labels = {keyword.arg or "**" for keyword in node.keywords}
                    found[first.value].append((f"{path.relative_to(CHECKOUT)}:{node.lineno}", call, labels))
    return found


def asked() -> set[str]:
    """The gauges whose values a program asks its database for."""
    plans = [import_module(f"{name}.service").service for name in SERVICES]
    programs: tuple[metrics.Program, ...] = ("web", "consumer", "worker")
    of_services = [one for plan in plans for program in programs for one in exposure.questions(program, plan)]
    return {one.name for one in [*of_services, *relay_exposure.questions({"service": "any"})]}


def test_the_names_that_type_check_are_the_metrics_there_are():
    assert list(get_args(Name)) == sorted(METRICS)
    assert list(METRICS) == sorted(METRICS)


def test_every_metric_that_is_used_is_declared_and_every_declared_one_is_used():
    assert set(uses()) | asked() == set(METRICS)


def test_a_gauge_is_set_by_the_program_or_by_a_question_to_the_database_and_not_by_both():
    assert set(uses()) & asked() == set()


def test_every_program_says_which_label_sets_its_metrics_have():
    for service in SERVICES:
        known = exposure.label_sets(import_module(f"{service}.service").service)
        for name, metric in METRICS.items():
            if metric.labels and set(metric.programs) - {"relay", "shadow", "gate"}:
                assert name in known, name
                assert all(set(labels) == set(metric.labels) for labels in known[name]), name


def test_every_use_fits_the_metrics_kind_and_labels():
    for name, places in uses().items():
        for place, call, labels in places:
            assert METRICS[name].kind in CALLS[call], f"{place}: {call} on a {METRICS[name].kind.__name__}"
            assert labels - {"amount", "traceparent"} == set(METRICS[name].labels), place


def test_names_are_part_what_and_unit():
    assert [name for name in METRICS if name not in UNITLESS and not SHAPE.fullmatch(name)] == []
    assert set(UNITLESS) <= set(METRICS)


def test_a_counter_ends_in_total_and_nothing_else_does():
    for name, metric in METRICS.items():
        assert name.endswith("_total") == (metric.kind is Counter), name


def test_every_metric_says_what_it_means():
    assert [name for name, metric in METRICS.items() if not metric.meaning.endswith(".")] == []


def test_prometheus_own_tool_finds_nothing_wrong_with_the_names():
    code = "from waybill.observability import metrics\n"
    code += "[metrics.metric(n, **dict.fromkeys(m.labels, 'a')) for n, m in metrics.METRICS.items()]\n"
    code += "import sys; sys.stdout.buffer.write(metrics.scraped()[1])"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, cwd=CHECKOUT).stdout
    ours = b"".join(line for line in shown.splitlines(keepends=True) if any(name.encode() in line for name in METRICS))
    done = subprocess.run([promtool(), "check", "metrics"], input=ours, capture_output=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, b"")

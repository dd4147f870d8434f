"""The objectives' alerts: a hard failure pages within minutes, a slow one is a ticket, and a blip is neither."""

import subprocess
from pathlib import Path

import pytest

from tests.support.alerts import FILES, promtool

OBJECTIVES = [file for file in FILES if file.name == "objectives.yml"]
DAY = 24 * 60
LONG = 3 * DAY
ORDERS = "OrdersEndLate"
EVENTS = "EventsPublishedLate"


def orders(*phases: tuple[int, int]) -> list[str]:
    """100 orders a minute, of which so many end in time, for so many minutes each."""
    labels = 'aggregate_type="order",status="CONFIRMED"'
    ended, in_time, within = 0, 0, []
    for minutes, good in phases:
        within.append(f"{in_time}+{good}x{minutes - 1}")
        in_time += good * minutes
        ended += minutes
    return [
        f"      - series: 'aggregate_completion_seconds_count{{{labels}}}'",
        f"        values: '0+100x{ended}'",
        f"      - series: 'aggregate_completion_seconds_bucket{{{labels},le=\"60.0\"}}'",
        f"        values: '{' '.join(within)}'",
    ]


def unpublished(*phases: tuple[int, float]) -> list[str]:
    values = " ".join(f"{seconds}x{minutes - 1}" for minutes, seconds in phases)
    return [
        "      - series: 'outbox_oldest_unpublished_seconds{service=\"order_service\"}'",
        f"        values: '{values}'",
    ]


CASES = {
    "all is well": ([*orders((DAY, 100)), *unpublished((DAY, 0.2))], DAY - 1, set()),
    "two minutes of late orders": (orders((DAY, 100), (2, 0), (30, 100)), DAY + 30, set()),
    "every order is late": (orders((LONG, 100), (15, 0)), LONG + 14, {f"{ORDERS}Fast"}),
    "8 % are late for hours": (orders((DAY, 100), (6 * 60, 92)), DAY + 359, {ORDERS, f"{ORDERS}Slowly"}),
    "2 % are late for days": (orders((2 * DAY, 100), (2 * DAY, 98)), 4 * DAY - 1, {f"{ORDERS}Slowly"}),
    "it is over": (orders((LONG, 100), (15, 0), (30, 100)), LONG + 44, set()),
    "a relay stands": (unpublished((LONG, 0.1), (10, 30)), LONG + 9, {f"{EVENTS}Fast"}),
    "a relay limps": (
        unpublished((DAY, 0.1), *[(24, 0.1), (1, 9)] * 144),
        DAY + 3600 - 1,
        {EVENTS, f"{EVENTS}Slowly"},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_an_alert_fires_as_fast_as_the_budget_burns(case: str, tmp_path: Path):
    series, minute, alerts = CASES[case]
    lines = [
        "rule_files:",
        *(f"  - {file}" for file in OBJECTIVES),
        "evaluation_interval: 1m",
        "tests:",
        "  - interval: 1m",
        "    input_series:",
        *series,
        "    promql_expr_test:",
        "      - expr: 'group by (alertname) (ALERTS{alertstate=\"firing\"})'",
        f"        eval_time: {minute}m",
        *(["        exp_samples:"] if alerts else []),
        *(f"          - {{labels: '{{alertname=\"{alert}\"}}', value: 1}}" for alert in sorted(alerts)),
    ]
    file = tmp_path / "test.yml"
    file.write_text("\n".join(lines))
    done = subprocess.run([promtool(), "test", "rules", file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr

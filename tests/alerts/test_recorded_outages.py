"""Each recorded outage raises the alerts that the runbook's table has for it, and no other; all well raises none."""

import re
import subprocess
from collections.abc import Collection
from pathlib import Path

import pytest

from devstack.harness.stack import CHECKOUT
from tests.alerts.recording import FOLDER, INTERVAL_SECONDS, read
from tests.support.alerts import OUTAGE_ALERTS, OUTAGES, promtool, selectors

TABLE = re.search(
    r"^## Which alerts an outage raises$(.+?)^## ", (CHECKOUT / "docs/runbook.md").read_text(), re.MULTILINE | re.DOTALL
)
LABELS = re.compile(r'(\w+)="([^"]*)"')
FIRING = 'ALERTS{alertstate="firing"}'


def expected() -> dict[str, set[str]]:
    """Return the alerts of each outage, as the runbook's table has them."""
    assert TABLE, "docs/runbook.md has no table of outages and alerts"
    rows = re.findall(r"^\| (.+?) +\| (.+?) +\|", TABLE[1], re.MULTILINE)[1:]
    return {outage: set(re.findall(r"`(\w+)`", alerts)) for outage, alerts in rows if not outage.startswith("-")}


RECORDED = {one.outage: one for one in map(read, sorted(FOLDER.glob("*.json")))}


def test_every_outage_of_the_runbook_is_recorded_and_every_alert_fires_in_one():
    assert RECORDED.keys() == expected().keys()
    assert set[str]().union(*expected().values()) == {alert.name for alert in OUTAGE_ALERTS}


@pytest.mark.parametrize("alert", [alert.name for alert in OUTAGE_ALERTS])
def test_the_recordings_have_what_a_rule_reads(alert: str):
    (expression,) = [one.expression for one in OUTAGE_ALERTS if one.name == alert]
    shown = {series for one in RECORDED.values() for series in one.series}
    for selector in selectors(expression):
        found = any(selector.takes(series.partition("{")[0], dict(LABELS.findall(series))) for series in shown)
        assert found, f"no recording has {selector}: record them anew, by `make record-alerts`"


@pytest.mark.parametrize("outage", RECORDED)
def test_an_outage_raises_its_alerts_and_no_others(outage: str, tmp_path: Path):
    recording = RECORDED[outage]
    ever = f"group by (alertname) (last_over_time({FIRING}[1d]))"
    lines = [
        "rule_files:",
        *(f"  - {file}" for file in OUTAGES),
        f"evaluation_interval: {INTERVAL_SECONDS}s",
        "tests:",
        f"  - interval: {INTERVAL_SECONDS}s",
        "    input_series:",
        *(line for series, samples in recording.series.items() for line in _input(series, samples)),
        "    promql_expr_test:",
        *_expects(ever, recording.outage_at - 1, ()),
        *_expects(ever, recording.length - 1, expected()[recording.outage]),
    ]
    file = tmp_path / "test.yml"
    file.write_text("\n".join(lines))
    done = subprocess.run([promtool(), "test", "rules", file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def _input(series: str, samples: list[str]) -> list[str]:
    """Give a series its samples; where one is missing after another, Prometheus marks the series as stale."""
    told = [
        "stale" if sample == "_" and before not in {"_", ""} else sample
        for before, sample in zip(["", *samples], samples, strict=False)
    ]
    return [f"      - series: '{series}'", f"        values: '{' '.join(told)}'"]


def _expects(expression: str, sample: int, alerts: Collection[str]) -> list[str]:
    lines = [f"      - expr: '{expression}'", f"        eval_time: {sample * INTERVAL_SECONDS}s"]
    if alerts:
        lines.append("        exp_samples:")
    for alert in sorted(alerts):
        lines += [f"          - labels: '{{alertname=\"{alert}\"}}'", "            value: 1"]
    return lines

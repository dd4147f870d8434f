"""Every alert is a valid rule on metrics that there are, and says which entry of the runbook to read."""

import re
import subprocess
from pathlib import Path

import pytest

from devstack.folder import CHECKOUT
from tests.support.alerts import ALERTS, FILES, RECORDED, known_series, promtool
from waybill.observability.metrics import METRICS

# Alert, what a program shows from the first minute of the outage on, and the minute at which the alert must fire.
FIRING = {
    "DatabaseDown": ('waybill_database_up{service="order_service"}', "1 1 0x10", "4m"),
    "ProgramWaits": ('waybill_waiting{service="order_service",part="topic"}', "0 0 1x10", "4m"),
    "NobodyLeads": ('outbox_relay_leader{service="order_service"}', "1 1 0x10", "4m"),
    "EventsNotPublished": ('outbox_oldest_unpublished_seconds{service="order_service"}', "0 0 5+60x10", "5m"),
    "DatabaseRestored": ('outbox_records_without_event{service="order_service"}', "0 0 3x10", "3m"),
    "BrokerUnreachable": ('waybill_waiting{service="order_service",part="broker"}', "0 0 1x10", "4m"),
    "ConsumerStopped": ("consumer_stopped", "0 0 1x10", "4m"),
    "RecordsMissing": ('consumer_missing_records{topic="order.events.v1",partition="2"}', "0 0 6x10", "3m"),
    "DeadLetters": ('consumer_dead_letters{reason="defect"}', "0 0 1x10", "3m"),
    "PublicationsRefused": ('outbox_dead_letters{service="order_service",reason="too_large"}', "0 0 1x10", "3m"),
    "DueTasksStuck": ('worker_due_oldest_seconds{task="send"}', "0 0 5+60x10", "6m"),
    "CircuitBreakerOpen": ('worker_breaker_open{task="charge"}', "0 0 1 0 1 0 1 0 1 0 1", "5m"),
    "GateRefuses": ('gate_answers_total{aggregate="order",answer="held_too_long"}', "0 0 1x10", "3m"),
    "WritesHeld": ("gate_waiting", "0 0 3x10", "5m"),
    "ShadowControlFails": ('shadow_control_failures_total{reason="timed_out"}', "0 0 1x10", "3m"),
    "ShadowMismatches": ('shadow_comparisons_total{route="/v1/rooms",outcome="mismatch"}', "0 0 1+1x10", "5m"),
    "ShadowComparesLittle": ('shadow_comparisons_total{route="/v1/rooms",outcome="dropped"}', "0 0 1+1x10", "5m"),
    "NeedsAttention": ('worker_attention_seconds{task="refund"}', "0 0 5+60x10", "3m"),
}


def anchors() -> set[str]:
    headings = re.findall(r"^## (.+)$", (CHECKOUT / "docs" / "runbook.md").read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_alert_names_its_entry_of_the_runbook():
    written = sum(file.read_text().count("- alert: ") for file in FILES)
    assert written == len(ALERTS) > 0
    assert {entry for _, _, entry in ALERTS} <= anchors()


def test_every_alert_stands_on_metrics_that_there_are():
    known = known_series()
    parts = "|".join(sorted({name.partition("_")[0] for name in METRICS}))
    for alert, expression, _ in ALERTS:
        named = set(re.findall(rf"\b(?:{parts})_[a-z_]+", expression))
        recorded = set(re.findall(r"\b\w+:\w+:\w+", expression))
        assert named | recorded, alert
        assert named <= known, alert
        assert recorded <= RECORDED, alert


def test_prometheus_takes_the_rules():
    done = subprocess.run([promtool(), "check", "rules", *FILES], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


COMPARED = 'shadow_comparisons_total{route="/v1/rooms",outcome="%s"}'
# Alert, and what is no trouble: a handover, and differences that are too few to tell anything.
SILENT = {
    "GateRefuses": {'gate_answers_total{aggregate="order",answer="there"}': "0+100x20"},
    "WritesHeld": {"gate_waiting": "0 300 0 300 0 0 300 0x13"},
    "ShadowMismatches": {COMPARED % "mismatch": "0+1x20", COMPARED % "equal": "0+200x20"},
    "ShadowComparesLittle": {COMPARED % "dropped": "0+40x20", COMPARED % "equal": "0+60x20"},
}


@pytest.mark.parametrize("alert", SILENT)
def test_an_alert_is_silent_about_what_is_no_trouble(alert: str, tmp_path: Path):
    moments = "\n".join(
        f"      - expr: \"count(ALERTS{{alertname='{alert}'}}) or vector(0)\"\n        eval_time: {minute}m\n"
        "        exp_samples: [{labels: '{}', value: 0}]"
        for minute in range(1, 20)
    )
    series = "\n".join(
        f"      - series: '{name}'\n        values: '{values}'" for name, values in SILENT[alert].items()
    )
    files = "\n".join(f"  - {file}" for file in FILES)
    file = tmp_path / "test.yml"
    file.write_text(
        f"rule_files:\n{files}\ntests:\n  - interval: 1m\n    input_series:\n{series}\n"
        f"    promql_expr_test:\n{moments}\n"
    )
    done = subprocess.run([promtool(), "test", "rules", file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("alert", FIRING)
def test_an_alert_is_silent_before_the_trouble_and_fires_within_minutes(alert: str, tmp_path: Path):
    series, values, minute = FIRING[alert]
    count = f"count(ALERTS{{alertname='{alert}',alertstate='firing'}}) or vector(0)"
    lines = [
        "rule_files:",
        *(f"  - {file}" for file in FILES),
        "tests:",
        "  - interval: 1m",
        "    input_series:",
        f"      - series: '{series}'",
        f"        values: '{values}'",
        "    promql_expr_test:",
        *(
            line
            for moment, firing in (("1m", 0), (minute, 1))
            for line in (
                f'      - expr: "{count}"',
                f"        eval_time: {moment}",
                "        exp_samples:",
                "          - labels: '{}'",
                f"            value: {firing}",
            )
        ),
    ]
    file = tmp_path / "test.yml"
    file.write_text("\n".join(lines))
    done = subprocess.run([promtool(), "test", "rules", file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_recorded_series_stands_on_metrics_that_there_are_and_is_read():
    written = "\n".join(file.read_text() for file in FILES)
    for name, expression in re.findall(r"- record: (\S+)\n\s+expr: (.+)", written):
        read = set(re.findall(r"\b[a-z]+(?:_[a-z0-9]+)+(?=[\[{ >])", re.sub(r"\w+:\w+:\w+", "", expression)))
        assert read - {"avg_over_time"} <= known_series(), name
        assert len(re.findall(rf"{name}\b", written)) > 1, f"{name}: nobody reads it"

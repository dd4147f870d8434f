"""The protocol between the `outbox` command and a service's own program."""

import subprocess
import sys

import pytest

from waybill.runtime import reports
from waybill.runtime.reports import (
    CheckpointUnusable,
    FoldProgress,
    MessageRedriven,
    NotAReport,
    ProgramFailed,
    RowDiffers,
)

SAMPLES = [
    FoldProgress(5_000, 12_345),
    CheckpointUnusable("the service's code has changed since"),
    RowDiffers("order", "0198", {"total": 1}, None),
    MessageRedriven("order.events.v1", "a\n\u2028", "order.events.v1/0/7", None, "ValueError: \x00"),
    reports.TaskSettled("order/0198", "refund", {"total": 1}, [{"type": "Refunded", "payload": {"amount": 1}}]),
    reports.TaskRescheduled("order/0198", "expire_order", "cancel", "2026-11-27T20:00:00Z", "2026-11-27T21:00:00Z"),
    reports.SettlementRefused("nothing is owed"),
    reports.TopicIncomplete("a topic begins at offset 7"),
    ProgramFailed("the connection is lost"),
]
NOISY = """
from waybill.observability.telemetry import configure_logging
from waybill.runtime.reports import ProgramFailed, channel
import structlog
configure_logging("order_service.rebuild", "debug")
print("before")
with channel() as report:
    print("a decider prints")
    structlog.get_logger().warning("a log line")
    report(ProgramFailed("why"))
print("after")
"""


def test_every_kind_of_report_comes_back_as_it_was_written_on_one_line():
    assert {type(one) for one in SAMPLES} == set(reports.KINDS.values())
    for one in SAMPLES:
        line = reports.in_json(one)
        assert "\n" not in line
        assert reports.from_json(line + "\n") == one


@pytest.mark.parametrize(
    "line",
    [
        "",
        "words",
        "7",
        "{}",
        '{"kind": "unheard_of"}',
        '{"kind": "settlement_refused"}',
        '{"kind": "settlement_refused", "why": 1}',
    ],
)
def test_a_line_that_is_no_report_is_refused(line: str):
    with pytest.raises(NotAReport, match="is no report"):
        reports.from_json(line)


def test_nothing_but_reports_reaches_standard_output_while_the_channel_is_open():
    done = subprocess.run([sys.executable, "-c", NOISY], capture_output=True, text=True, timeout=60, check=True)
    before, *lines = done.stdout.splitlines()
    assert (before, [reports.from_json(line) for line in lines]) == ("before", [ProgramFailed("why")])
    assert [word in done.stderr for word in ("a decider prints", "a log line", "after")] == [True] * 3

import json
import logging

import structlog

from tests.support.program_log import program_log
from waybill.observability.telemetry import Cause


def test_a_cause_says_only_what_is_known():
    assert Cause("c1", request_id="r1").metadata() == {"correlation_id": "c1", "request_id": "r1"}


def test_what_follows_from_an_event_keeps_its_correlation_and_names_it_as_the_cause():
    headers = {"ce_correlationid": "c1", "traceparent": "00-a-b-01"}
    assert Cause.of_event("e1", headers) == Cause("c1", causation_id="e1", traceparent="00-a-b-01")
    assert Cause.of_event("e1", {}).correlation_id == "e1"


def test_a_log_line_is_one_json_object_without_local_variables(capsys):
    secret = "ann@example.com"
    with program_log():
        try:
            raise ValueError("a defect")
        except ValueError:
            structlog.get_logger().exception("failed")
    line = capsys.readouterr().out
    assert json.loads(line)["exception"][0]["exc_value"] == "a defect"
    assert secret not in line


def test_what_a_record_brings_stands_in_the_log_as_printable_ascii(capsys):
    hostile = "\x1b]0;owned\x07 \x9b2J \x7f \u2028 \u202e \ud800 é"
    with program_log():
        structlog.get_logger().info("dead_lettered", key=hostile)
        logging.getLogger("other").warning("%s", hostile)
    lines = capsys.readouterr().out.split("\n")[:-1]
    assert all(line.isprintable() and line.isascii() for line in lines)
    assert [json.loads(line).get("key", hostile) for line in lines] == [hostile, hostile]

import json

from chassis.telemetry import Cause, configure_logging


def test_a_cause_says_only_what_is_known():
    assert Cause("c1", request_id="r1").metadata() == {"correlation_id": "c1", "request_id": "r1"}


def test_what_follows_from_an_event_keeps_its_correlation_and_names_it_as_the_cause():
    headers = {"ce_correlationid": "c1", "traceparent": "00-a-b-01"}
    assert Cause.of_event("e1", headers) == Cause("c1", causation_id="e1", traceparent="00-a-b-01")
    assert Cause.of_event("e1", {}).correlation_id == "e1"


def test_a_log_line_is_one_json_object_without_local_variables(capsys):
    import structlog

    configure_logging("test")
    secret = "ann@example.com"
    try:
        raise ValueError("a defect")
    except ValueError:
        structlog.get_logger().exception("failed")
    line = capsys.readouterr().out
    structlog.reset_defaults()
    assert json.loads(line)["exception"][0]["exc_value"] == "a defect"
    assert secret not in line

"""The health port tells what is wrong, and neither addresses nor users nor statements."""

import pytest

from waybill.observability import health
from waybill.observability.redaction import redacted

SAID = {
    'connection to server at "10.1.2.3", port 5432 failed: FATAL:  password authentication failed for user "ann"': ""
    "connection to server at … failed: FATAL: password authentication failed for user …",
    'connection to server at "db.internal" (10.1.2.3), port 5432 failed: timeout': "connection to server at … failed: "
    "timeout",
    'connection to server on socket "/run/postgresql/.s.PGSQL.5432" failed': "connection to server on socket … failed",
    'connection to server at "::1", port 1 failed': "connection to server at … failed",
    "broker: kafka-1.internal:9092/bootstrap: Connect to ipv4#10.1.2.3:9092 failed: Connection refused": "broker: "
    "…/bootstrap: Connect to … failed: Connection refused",
    "Connect to ipv6#[fe80::1]:9092 failed": "Connect to ipv6#… failed",
    'column "secret" does not exist LINE 1: SELECT secret FROM orders': "column … does not exist",
    "the issuer's keys were not fetched from https://issuer.internal/keys": "the issuer's keys were not fetched from …",
}


@pytest.mark.parametrize("reason", SAID)
def test_a_reason_names_no_address_no_user_and_no_statement(reason: str):
    assert redacted(reason) == SAID[reason]


@pytest.mark.parametrize(
    "reason",
    [
        "paused: by ana: the broker moves",
        "migrations not applied: [('waybill_rest', '0002_rate_limit')]; run `migrate`",
        "database: this is a standby, or read-only: it is tried again until the address leads to the primary",
        "order.events.v1[3] has gaps since 2026-11-27T14:02:11+00:00",
    ],
)
def test_what_an_operator_is_told_stays(reason: str):
    assert redacted(reason) == reason


def test_the_health_port_leaves_out_what_the_log_tells():
    status, _, body = health.answer("/readyz", lambda: 'database: no user "ann" at 10.0.0.1:5432')
    assert (status, body.decode()) == (503, "database: no user … at …\n")

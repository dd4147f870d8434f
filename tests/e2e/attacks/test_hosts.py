"""Who comes by another name than the program's own is sent away before anything else is looked at."""

import http.client

import pytest

from tests.support.attacker import Attacker
from tests.support.programs import Program

OTHERS = ("evil.example", "127.0.0.1.evil.example", "127.0.0.2", "a b", "[::1", "", "localhost@evil.example", "x/../y")


@pytest.mark.parametrize("host", OTHERS)
def test_another_host_is_refused_before_token_and_body_are_looked_at(attacker: Attacker, host: str) -> None:
    refused = attacker.say(attacker.head("POST", host=host, authorization="", content_length="40"), seconds=5)
    refused.assert_problem(421, "misdirected_request")
    assert refused.headers["connection"] == "close"


def test_no_host_and_two_hosts_are_refused(attacker: Attacker) -> None:
    none = attacker.head().replace(b"Host: 127.0.0.1\r\n", b"")
    two = attacker.head().replace(b"Host: 127.0.0.1\r\n", b"Host: 127.0.0.1\r\nHost: 127.0.0.1\r\n")
    for head in (none, two):
        attacker.say(head, seconds=5).assert_problem(400, "malformed_request")


def test_the_host_of_an_absolute_target_counts_and_the_header_does_not(attacker: Attacker) -> None:
    other = attacker.head(path="http://evil.example:80/v1/orders", authorization="")
    attacker.say(other, seconds=5).assert_problem(421, "misdirected_request")
    own = attacker.head(path="http://127.0.0.1:80/v1/orders", host="evil.example")
    assert attacker.say(own, seconds=5).status == 200


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8000", "shop.localhost", "127.0.0.1:1", "[::1]:80"])
def test_a_host_is_known_with_any_port_and_in_any_case(attacker: Attacker, host: str) -> None:
    assert attacker.say(attacker.head(host=host)).status == 200


@pytest.mark.parametrize("method", ["GET", "OPTIONS"])
def test_no_other_site_may_read_an_answer(attacker: Attacker, method: str) -> None:
    site = {"origin": "https://evil.example", "access_control_request_method": "GET"}
    headers = attacker.say(attacker.head(method, **site)).headers
    assert [name for name in headers if name.startswith("access-control-")] == []
    assert headers["cross-origin-resource-policy"] == "same-origin"


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "OPTIONS", "BREW"])
def test_the_health_port_answers_probes_by_any_name_and_tells_nothing_of_its_server(web: Program, method: str) -> None:
    connection = http.client.HTTPConnection(web.host, web.health_port, timeout=5)
    connection.request(method, "/livez", headers={"Host": "10.0.0.7"})
    answer = connection.getresponse()
    assert answer.status == (200 if method in {"GET", "HEAD"} else 501)
    assert answer.getheader("server") is None
    assert answer.getheader("x-content-type-options") == "nosniff"
    assert "python" not in answer.read().decode().lower()
    connection.close()

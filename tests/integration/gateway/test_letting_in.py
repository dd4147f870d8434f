"""Who comes in, and what is known of a request: ids, traces, tokens, limits, sizes, TLS."""

import ssl

import httpx2 as httpx
import pytest

from tests.support.gateway.problems import problem

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_a_request_gets_an_id_that_the_backend_and_the_client_are_told(scene):
    with scene.gateway.client() as client:
        first, second = client.get("/plain"), client.get("/plain")
    assert first.json()["headers"]["x-request-id"] == first.headers["x-request-id"]
    assert first.headers["x-request-id"] != second.headers["x-request-id"]


def test_an_id_and_a_trace_that_a_client_sends_are_passed_on(scene):
    sent = {"x-request-id": "of-the-client-1", "traceparent": TRACE, "tracestate": "shop=1"}
    with scene.gateway.client() as client:
        answer = client.get("/plain", headers=sent)
    assert {name: answer.json()["headers"][name] for name in sent} == sent
    assert answer.headers["x-request-id"] == "of-the-client-1"


@pytest.mark.parametrize("token", ["", "no.token.atall", "expired"])
def test_a_token_that_proves_nothing_is_refused_before_the_backend_is_asked(scene, token):
    token = scene.token("ann", -600) if token == "expired" else token
    path = f"/secured/{len(token)}"
    with scene.gateway.client() as client:
        answer = client.get(path, headers={"Authorization": f"Bearer {token}"} if token else {})
    problem(answer, 401, "unauthenticated")
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert not scene.backends["one"].of(path)


def test_a_good_token_comes_in_and_the_backend_is_told_whose_it_is(scene):
    forged = {"X-Subject": "eve"}
    with scene.gateway.client() as client:
        answer = client.get("/secured", headers={"Authorization": f"Bearer {scene.token('ann')}", **forged})
    assert answer.status_code == 200
    assert answer.json()["headers"]["x-subject"] == "ann"
    assert answer.json()["headers"]["authorization"].startswith("Bearer ")


def test_a_caller_that_asks_too_often_is_told_when_to_come_again_and_others_are_not_held_up(scene):
    with scene.gateway.client(headers={"X-Client": "greedy"}) as client:
        answers = [client.get("/limited") for _ in range(4)]
        other = client.get("/limited", headers={"X-Client": "modest"})
    assert [one.status_code for one in answers[:3]] == [200] * 3
    assert problem(answers[3], 429, "rate_limited")["retryable"]
    assert answers[3].headers["retry-after"] == "3600"
    assert other.status_code == 200


def test_a_body_over_the_limit_is_refused_and_one_within_it_is_not(scene):
    with scene.gateway.client() as client:
        assert client.post("/small", content=b"x" * 1024).json()["bytes"] == 1024
        problem(client.post("/small/large", content=b"x" * 1025), 413, "body_too_large")
    assert not scene.backends["one"].of("/small/large")


def test_tls_is_spoken_with_the_certificate_of_the_listener_and_by_nobody_older(scene):
    trusted = ssl.create_default_context(cafile=scene.home / "ca.pem")
    url = f"https://{scene.gateway.site.listeners['https']}"
    with scene.gateway.client(base_url=url, verify=trusted) as client:
        answer = client.get("/plain")
    assert answer.json()["headers"]["x-forwarded-proto"] == "https"
    trusted.maximum_version = ssl.TLSVersion.TLSv1_2
    with scene.gateway.client(base_url=url, verify=trusted) as client, pytest.raises(httpx.ConnectError):
        client.get("/plain")


def test_what_there_is_no_route_for_is_not_found(scene):
    with scene.gateway.client() as client:
        problem(client.get("/elsewhere"), 404, "not_found")

"""What the gateway does about backends that are slow, lossy, overloaded or gone."""

import threading

import pytest

from devstack.harness.wait import wait_until
from tests.support.gateway.problems import problem


@pytest.fixture
def slow(scene):
    backend = scene.backends["slow"]
    backend.held.clear()
    yield backend
    backend.held.set()


def test_a_backend_that_takes_too_long_is_not_waited_for(scene, slow):
    with scene.gateway.client() as client:
        answer = client.get("/slow")
    assert problem(answer, 504, "backend_timed_out")["retryable"]
    assert 0.25 < answer.elapsed.total_seconds() < 5


def test_a_read_that_got_no_answer_is_asked_again(scene):
    lossy = scene.backends["lossy"]
    lossy.losing = 2
    with scene.gateway.client() as client:
        assert client.get("/retried/read").status_code == 200
    assert len(lossy.of("/retried/read")) == 3


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_what_may_have_changed_something_is_never_asked_again(scene, method):
    lossy, path = scene.backends["lossy"], f"/retried/{method}"
    lossy.losing = 1
    with scene.gateway.client() as client:
        problem(client.request(method, path), 503, "backend_unavailable")
    assert len(lossy.of(path)) == 1
    assert lossy.losing == 0


def test_a_full_backend_is_asked_no_more_until_it_has_answered(scene, slow):
    with scene.gateway.client() as client:
        first: list[int] = []
        waiting = threading.Thread(target=lambda: first.append(client.get("/breaker/first").status_code))
        waiting.start()
        wait_until(lambda: slow.of("/breaker/first"), deadline_seconds=5, what="the first is with the backend")
        refused = client.get("/breaker/second")
        slow.held.set()
        waiting.join()
        assert client.get("/breaker/third").status_code == 200
    assert problem(refused, 503, "overloaded")["retryable"]
    assert refused.headers["retry-after"] == "1"
    assert first == [200]
    assert not slow.of("/breaker/second")


def test_an_instance_that_fails_again_and_again_is_left_alone(scene):
    good, bad = scene.backends["good"], scene.backends["bad"]
    bad.status = 500
    with scene.gateway.client() as client:
        wait_until(
            lambda: client.get("/ejected").status_code and scene.gateway.stat("ejected.*ejections_active"),
            deadline_seconds=10,
            what="the bad one is ejected",
        )
        before = len(bad.asked)
        assert {client.get("/ejected").status_code for _ in range(20)} == {200}
    assert len(bad.asked) == before
    assert len(good.asked) >= 20


def test_a_backend_that_is_not_there_is_said_to_be_unavailable(scene):
    with scene.gateway.client() as client:
        answer = client.get("/nowhere")
    assert problem(answer, 503, "backend_unavailable")["retryable"]
    assert answer.headers["retry-after"] == "1"

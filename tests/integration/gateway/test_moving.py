"""Where requests go: weights, a canary by header, and generations that replace each other under load."""

import json
import threading
import time
from collections import Counter
from contextlib import ExitStack
from http.client import HTTPConnection
from pathlib import Path
from typing import Self

import pytest

from devstack.harness.wait import wait_until
from tests.support.gateway.backends import serving
from tests.support.gateway.running import running
from waybill.gateway import generations
from waybill.gateway.command import main
from waybill.gateway.documents.document import Refused, parse
from waybill.gateway.envoy import program as envoy

DOCUMENTS = """
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: g}
spec: {gatewayClassName: envoy, listeners: [{name: http, protocol: HTTP, port: 80}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: r}
spec:
  parentRefs: [{name: g}]
  rules: [{backendRefs: [{name: old, weight: OLD}, {name: new, weight: NEW}]}]
"""


def weighted(old: int, new: int) -> str:
    return DOCUMENTS.replace("OLD", str(old)).replace("NEW", str(new))


def test_a_backend_gets_its_part_and_a_canary_goes_by_its_header(scene):
    with scene.gateway.client() as client:
        plain = Counter(client.get("/weighted").json()["backend"] for _ in range(400))
        canary = {client.get("/weighted", headers={"X-Canary": "yes"}).json()["backend"] for _ in range(20)}
        other = Counter(client.get("/weighted", headers={"X-Canary": "no"}).json()["backend"] for _ in range(40))
    assert canary == {"two"}
    assert 50 < plain["two"] < 160  # 100 are expected, and six standard deviations are 52
    assert other["one"] > 10


SETTLED_SECONDS = 0.1  # a request that Envoy got before may have been counted after


class Load:
    """Clients that ask without a pause, each on its own connection: who answered when, and what failed."""

    def __init__(self, address: str, clients: int) -> None:
        self.answers: list[tuple[float, str]] = []
        self.failed: list[str] = []
        self._address = address
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(n,)) for n in range(clients)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def _ask(self, number: int) -> None:
        connection = HTTPConnection(self._address, timeout=10)
        while not self._ended.is_set():
            method = "GET" if number % 2 else "POST"
            began = time.monotonic()
            try:
                connection.request(method, "/x", body=b"{}" if method == "POST" else None)
                answer = connection.getresponse()
                body = answer.read()
                if answer.status != 200:
                    self.failed.append(f"{answer.status} {body!r}")
                else:
                    self.answers.append((began, "new" if b'"backend": "new"' in body else "old"))
            except OSError as error:
                self.failed.append(repr(error))
                connection.close()
        connection.close()

    def await_answers(self, moment: float, count: int = 100) -> None:
        """Wait for answers to requests that began after a moment."""
        wait_until(
            lambda: self.failed or len(self.after(moment)) >= count, deadline_seconds=30, what=f"{count} answers came"
        )

    def after(self, moment: float) -> list[str]:
        """Who answered the requests that began after a moment, and after those that were on their way then."""
        return [name for began, name in self.answers if began > moment + SETTLED_SECONDS]


def test_a_route_moves_and_comes_back_under_load_without_a_failed_request(tmp_path):
    with ExitStack() as stack:
        backends = {name: stack.enter_context(serving(name)) for name in ("old", "new")}
        addresses = {name: one.address for name, one in backends.items()}
        gateway = stack.enter_context(running(tmp_path, weighted(100, 0), addresses))
        admin = gateway.site.admin
        with Load(gateway.site.listeners["http"], clients=6) as load:
            load.await_answers(0)
            moved_at = time.monotonic()
            moved = generations.publish(gateway.folder, parse({"a.yaml": weighted(0, 100)}), by="test", reason="moves")
            assert envoy.await_applied(admin, moved.number)
            applied_at = time.monotonic()
            load.await_answers(applied_at)
            moved_load = load.after(applied_at)
            back_at = time.monotonic()
            former = generations.rollback(gateway.folder)
            assert envoy.await_applied(admin, former.number)
            rolled_back_at = time.monotonic()
            load.await_answers(rolled_back_at)
        untouched = (
            gateway.stat("^listener_manager.listener_modified"),
            gateway.stat("^cluster_manager.cluster_modified"),
        )
    assert untouched == (0, 0)  # so no connection was closed for it
    assert (moved.replaced, former.number) == (1, 1)
    assert load.failed == []
    assert applied_at - moved_at < 1
    assert rolled_back_at - back_at < 1
    assert set(moved_load) == {"new"}
    assert set(load.after(rolled_back_at)) == {"old"}


def test_a_backend_is_named_and_another_dropped_in_one_go_without_a_failed_request(tmp_path):
    def only(name: str) -> str:
        return DOCUMENTS.replace("{name: old, weight: OLD}, {name: new, weight: NEW}", f"{{name: {name}}}")

    with ExitStack() as stack:
        backends = {name: stack.enter_context(serving(name)) for name in ("old", "new")}
        addresses = {name: one.address for name, one in backends.items()}
        gateway = stack.enter_context(running(tmp_path, only("old"), addresses))
        admin = gateway.site.admin
        with Load(gateway.site.listeners["http"], clients=6) as load:
            for _ in range(12):
                for name in ("new", "old"):
                    moved = generations.publish(gateway.folder, parse({"a.yaml": only(name)}), by="test", reason="x")
                    assert envoy.await_applied(admin, moved.number)
                    applied_at = time.monotonic()
                    load.await_answers(applied_at, 10)
                    assert set(load.after(applied_at)) == {name}
            former = generations.rollback(gateway.folder)
            assert envoy.await_applied(admin, former.number)
            back_at = time.monotonic()
            load.await_answers(back_at, 10)
            assert set(load.after(back_at)) == {"new"}
        clusters = {one["name"] for one in _clusters(gateway.folder)}
    assert load.failed == []
    assert clusters == {"r/0/new", "r/0/old"}


def _clusters(folder: Path) -> list[dict[str, str]]:
    return json.loads((folder / "current" / "clusters.json").read_text())["resources"]


def test_what_is_refused_changes_nothing_and_the_first_generation_has_none_before_it(tmp_path):
    with serving("old") as old, serving("new") as new:
        addresses = {"old": old.address, "new": new.address}
        with running(tmp_path, weighted(1, 0), addresses) as gateway:
            wrong = weighted(0, 1).replace("name: new", "name: newer")
            with pytest.raises(Refused, match="the backend 'newer' has no address here"):
                generations.publish(gateway.folder, parse({"a.yaml": wrong}), by="test", reason="")
            with pytest.raises(Refused, match="generation 1 is the first"):
                generations.rollback(gateway.folder)
            assert generations.current(gateway.folder).number == 1
            assert generations.numbers(gateway.folder) == [1]
            with gateway.client() as client:
                assert client.get("/").json()["backend"] == "old"


def test_other_documents_come_in_by_a_command_and_what_is_wrong_with_them_changes_nothing(tmp_path, capsys):
    with ExitStack() as stack:
        addresses = {name: stack.enter_context(serving(name)).address for name in ("old", "new")}
        gateway = stack.enter_context(running(tmp_path / "home", weighted(1, 0), addresses))

        def publish(text: str) -> int:
            (tmp_path / "documents").mkdir(exist_ok=True)
            (tmp_path / "documents" / "all.yaml").write_text(text)
            return main(
                ["publish", str(tmp_path / "documents"), f"--folder={gateway.folder}", "--reason=the next step"]
            )

        assert publish(weighted(0, 1)) == 0
        assert capsys.readouterr().out == "generation 2: Envoy has taken it\n"
        assert generations.current(gateway.folder).reason == "the next step"
        with gateway.client() as client:
            assert {client.get("/").json()["backend"] for _ in range(20)} == {"new"}
        assert publish(weighted(0, 1).replace("HTTPRoute", "TCPRoute")) == 1
        assert "TCPRoute" in capsys.readouterr().err
        assert generations.current(gateway.folder).number == 2

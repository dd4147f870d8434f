"""Who waits for an order, or follows it, holds no thread: here nobody else works, so every order stays PENDING."""

import json
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from devstack.harness.databases import ServiceDatabase
from devstack.harness.wait import wait_until
from tests.support.attacker import ORDER, Attacker, answer
from tests.support.programs import Program

SECONDS = 20


@pytest.fixture
def order(attacker: Attacker) -> str:
    return attacker.say(attacker.post(json.dumps(ORDER).encode())).json["id"]


def cancel(attacker: Attacker, order: str) -> None:
    path = f"/v1/orders/{order}/cancel"
    assert attacker.say(attacker.head("POST", path, idempotency_key=str(uuid4()), content_length="0")).status == 202


@contextmanager
def following(attacker: Attacker, order: str, **headers: str) -> Iterator[socket.socket]:
    with closing(socket.create_connection(attacker.address, SECONDS)) as connection:
        connection.sendall(attacker.head(path=f"/v1/orders/{order}/stream", **headers))
        yield connection


def received(connection: socket.socket, until: bytes) -> bytes:
    found = b""
    while until not in found:
        part = connection.recv(65_536)
        assert part, found
        found += part
    return found


def test_an_answer_waits_for_as_long_as_the_client_wants(attacker: Attacker, order: str) -> None:
    began = time.monotonic()
    waited = attacker.say(attacker.head(path=f"/v1/orders/{order}", prefer="wait=1"))
    assert time.monotonic() - began >= 1
    assert (waited.status, waited.json["status"], waited.headers["preference-applied"]) == (200, "PENDING", "wait=1")
    unchanged = attacker.head(path=f"/v1/orders/{order}", prefer="wait=1", if_none_match=waited.headers["etag"])
    assert attacker.say(unchanged).status == 304
    missing = attacker.head(path=f"/v1/orders/{uuid4()}", prefer="wait=20")
    attacker.say(missing, seconds=10).assert_problem(404, "not_found")


def test_a_hundred_who_wait_and_a_hundred_streams_keep_nobody(attacker: Attacker, order: str) -> None:
    wait = attacker.head(path=f"/v1/orders/{order}", prefer="wait=30")
    with attacker.holding(100, wait), attacker.holding(100, attacker.head(path=f"/v1/orders/{order}/stream")) as open_:
        for connection in open_:
            received(connection, b"OrderPlaced")
        assert attacker.say(attacker.head(path=f"/v1/orders/{order}"), seconds=5).status == 200
        cancel(attacker, order)
        for connection in open_:
            received(connection, b"OrderCancellationStarted")


def test_a_stream_begins_after_the_last_event_that_the_client_has(attacker: Attacker, order: str) -> None:
    with following(attacker, order) as connection:
        head = received(connection, b"\nid: 1\nevent: OrderPlaced\ndata: ")
        assert b"content-type: text/event-stream" in head.lower()
    with following(attacker, order, last_event_id="1") as connection:
        cancel(attacker, order)
        assert b"OrderPlaced" not in received(connection, b"\nid: 2\nevent: OrderCancellationStarted\n")
    attacker.say(attacker.head(path=f"/v1/orders/{order}/stream", last_event_id="x")).assert_problem(422, "not_valid")
    attacker.say(attacker.head(path=f"/v1/orders/{order}/stream", accept="image/png")).assert_problem(
        406, "not_acceptable"
    )


def test_a_program_that_ends_lets_those_go_who_wait(order: str, own_database: ServiceDatabase, tmp_path: Path) -> None:
    ending = Program("web", own_database.service_url, tmp_path)
    try:
        ending.wait_for("readiness", lambda: ending.unready() is None, 60)
        client = Attacker(ending, ending.token("orders"))
        with closing(socket.create_connection(client.address, SECONDS)) as waiting, following(client, order) as stream:
            waiting.sendall(client.head(path=f"/v1/orders/{order}", prefer="wait=60"))
            received(stream, b"OrderPlaced")
            ending.process.send_signal(signal.SIGTERM)
            assert answer(waiting).status == 200
            while stream.recv(65_536):
                pass
        wait_until(lambda: ending.process.poll() == 0, deadline_seconds=5, what="its end")
    finally:
        ending.process.kill()
        ending.process.wait(10)

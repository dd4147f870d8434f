"""What the kernel says of data that waits to be read, on real sockets."""

import socket
import time
from collections.abc import Iterator

import pytest

from devstack.harness.wait import wait_until
from waybill.rest.serving.unread import unread_seconds


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname()) as client,
        listener.accept()[0] as accepted,
    ):
        yield client, accepted


def test_data_is_as_old_as_it_has_waited_also_before_the_connection_was_accepted() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname()) as client,
    ):
        client.sendall(b"GET")
        sent = time.monotonic()
        wait_until(lambda: time.monotonic() - sent > 0.3, deadline_seconds=5, what="0.3 s")
        with listener.accept()[0] as accepted:
            waited = time.monotonic() - sent
            assert 0.25 < unread_seconds(accepted) < waited + 0.1


def test_new_data_on_an_old_connection_is_new(pair: tuple[socket.socket, socket.socket]) -> None:
    client, accepted = pair
    client.sendall(b"first")
    assert accepted.recv(5) == b"first"
    wait_until(lambda: unread_seconds(accepted) > 0.2, deadline_seconds=5, what="an idle connection")
    client.sendall(b"next")
    wait_until(lambda: unread_seconds(accepted) < 0.1, deadline_seconds=5, what="new data")

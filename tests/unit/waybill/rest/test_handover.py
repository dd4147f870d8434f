"""A web program's port goes to the next one without a connection lost, and a drain answers what is on its way."""

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from waybill.rest.serving import handover
from waybill.rest.serving.connections import Connection


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


def test_what_waits_in_the_queue_is_taken_by_the_next_program_when_the_first_has_closed(
    listener: socket.socket, tmp_path: Path
):
    address = listener.getsockname()
    with handover.offered(listener, tmp_path):
        following = handover.received(tmp_path, address)
        assert following is not None
        with following, socket.create_connection(address) as client:
            listener.close()
            following.settimeout(5)
            taken, peer = following.accept()
            taken.close()
            assert peer == client.getsockname()


def test_a_program_that_drains_has_nothing_to_give_and_the_next_is_asked(listener: socket.socket, tmp_path: Path):
    address = listener.getsockname()
    with handover.offered(listener, tmp_path):
        following = handover.received(tmp_path, address)
        assert following is not None
        (tmp_path / f"web-{address[1]}-0").touch()  # left by one that was killed
        listener.close()
        assert handover.received(tmp_path, address) is None
        following.close()


def test_where_nobody_is_nothing_is_given(listener: socket.socket, tmp_path: Path):
    assert handover.received(tmp_path, listener.getsockname()) is None
    with handover.offered(listener, tmp_path):
        other = ("127.0.0.2", listener.getsockname()[1])
        assert handover.received(tmp_path, other) is None
        (path,) = tmp_path.iterdir()
        assert path.stat().st_mode & 0o077 == 0
    assert list(tmp_path.iterdir()) == []


async def _answer(_scope: Any, _receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


async def _ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    writer.write(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n")
    head = await reader.readuntil(b"\r\n\r\n")
    assert await reader.readexactly(2) == b"ok"
    return head.lower()


def test_a_request_that_crosses_the_drain_on_an_idle_connection_is_answered_as_the_last(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch
):
    for name in ("is_full", "is_busy"):
        monkeypatch.setattr(Connection, name, lambda *_: False, raising=False)
    monkeypatch.setattr(Connection, "most", 100)
    monkeypatch.setattr(Connection, "draining", False)
    told = asyncio.Event()
    shutdown = Connection.shutdown

    def noted(connection: Connection) -> None:
        shutdown(connection)
        told.set()

    monkeypatch.setattr(Connection, "shutdown", noted)
    config = uvicorn.Config(_answer, http=Connection, ws="none", lifespan="off", log_config=None, access_log=False)
    server = uvicorn.Server(config)

    async def scene() -> tuple[bytes, bytes, bytes]:
        serving = asyncio.create_task(server._serve([listener]))
        address = listener.getsockname()
        asking, idle = [await asyncio.open_connection(*address) for _ in range(2)]
        first = await _ask(*asking)
        await _ask(*idle)
        Connection.draining = server.should_exit = True
        async with asyncio.timeout(5):
            await told.wait()
            last = await _ask(*asking)
            assert await asking[0].read() == b""
            end = await idle[0].read()
            await serving
        for _, writer in (asking, idle):
            writer.close()
        return first, last, end

    first, last, end = asyncio.run(scene())
    assert b"connection: close" not in first
    assert b"connection: close" in last
    assert end == b""

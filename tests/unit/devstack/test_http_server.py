"""The small server keeps connections, answers in order, holds answers back, hangs up, and survives nonsense."""

import asyncio
import json

import pytest

from devstack.simulators.http_server import Answer, Connection, Request

HOLD_SECONDS = 0.05


def handler(request: Request) -> Answer:
    match request.path:
        case "/held":
            return Answer(200, {"path": "/held"}, after_seconds=HOLD_SECONDS)
        case "/lost":
            return Answer(200, {}, after_seconds=HOLD_SECONDS, hang_up=True)
        case "/dripped":
            return Answer(200, {"path": "/dripped"}, byte_seconds=HOLD_SECONDS / 100)
        case "/broken":
            raise RuntimeError("a mistake")
        case _:
            return Answer(200, {"path": request.path, "query": request.query, "body": request.body.decode()})


def exchange(*pieces: bytes) -> bytes:
    """Send the pieces on one connection, say that no more come, and return all that is answered."""

    async def talk() -> bytes:
        server = await asyncio.get_running_loop().create_server(lambda: Connection(handler), "127.0.0.1", 0)
        async with server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            try:
                for piece in pieces:
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(0)
                return await asyncio.wait_for(reader.read(), 5)
            except ConnectionResetError:
                return b""
            finally:
                writer.close()

    return asyncio.run(talk())


def bodies(answer: bytes) -> list[dict]:
    return [json.loads(part.split(b"\r\n\r\n", 1)[1]) for part in answer.split(b"HTTP/1.1 ")[1:]]


GET_LAST = b"GET /last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


def test_a_connection_is_kept_and_answers_come_in_order():
    post = b"POST /first?a=b%20c HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello"
    answers = bodies(exchange(post + b"GET /held HTTP/1.1\r\n\r\n" + GET_LAST))
    assert [answer["path"] for answer in answers] == ["/first", "/held", "/last"]
    assert answers[0] == {"path": "/first", "query": {"a": "b c"}, "body": "hello"}


def test_an_answer_may_come_a_byte_at_a_time_and_the_connection_ends_with_it():
    assert bodies(exchange(b"GET /dripped HTTP/1.1\r\n\r\n" + GET_LAST)) == [{"path": "/dripped"}]


def test_a_request_may_arrive_in_pieces():
    post = b"POST /x HTTP/1.1\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbody"
    assert bodies(exchange(*(post[n : n + 7] for n in range(0, len(post), 7))))[0]["body"] == "body"


def test_an_answer_that_is_lost_is_never_sent():
    assert exchange(b"GET /lost HTTP/1.1\r\n\r\n") == b""


def test_a_mistake_in_the_handler_is_a_500_and_the_connection_goes_on(capsys):
    answer = exchange(b"GET /broken HTTP/1.1\r\n\r\n" + GET_LAST)
    assert answer.startswith(b"HTTP/1.1 500 ")
    assert b"/last" in answer
    assert "a mistake" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"nonsense\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", b"400"),
        (b"POST / HTTP/1.1\r\nContent-Length: many\r\n\r\n", b"400"),
        (b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", b"413"),
        (b"POST / HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n", b"413"),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", b"411"),
        (b"GET / HTTP/1.1\r\nx: " + b"y" * 70_000, b"431"),
    ],
)
def test_what_cannot_be_read_is_refused_and_the_connection_closed(request_bytes, status):
    assert exchange(request_bytes).startswith(b"HTTP/1.1 " + status)

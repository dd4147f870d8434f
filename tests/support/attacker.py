"""What an attacker says on a socket, byte by byte, and what everybody else sees meanwhile."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from tests.support.programs import Program

SECONDS = 30
ORDER = {"lines": [{"sku": "LAMP", "quantity": 1}], "payment_method": "tok_ok"}


@dataclass(frozen=True)
class Answer:
    """One answer, as it came."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def assert_problem(self, status: int, code: str) -> None:
        """It must be a problem with this status and code."""
        assert (self.status, self.headers.get("content-type")) == (status, "application/problem+json"), self
        assert (self.json["status"], self.json["code"]) == (status, code)


class Attacker:
    """Says what it likes to one web program."""

    def __init__(self, program: Program, token: str) -> None:
        self.program, self.token = program, token

    @property
    def address(self) -> tuple[str, int]:
        return self.program.host, self.program.port

    def head(self, method: str = "GET", path: str = "/v1/orders", **headers: str) -> bytes:
        """The head of a request with a good token; `idempotency_key` becomes Idempotency-Key."""
        named = {"host": "127.0.0.1", "authorization": f"Bearer {self.token}", **headers}
        lines = [f"{name.replace('_', '-').title()}: {value}" for name, value in named.items()]
        return "\r\n".join([f"{method} {path} HTTP/1.1", *lines, "\r\n"]).encode()

    def post(self, body: bytes, path: str = "/v1/orders", **headers: str) -> bytes:
        """A request with a body, complete."""
        headers = {"idempotency_key": str(uuid4()), "content_type": "application/json", **headers}
        return self.head("POST", path, content_length=str(len(body)), **headers) + body

    def say(self, *parts: bytes, seconds: float = SECONDS) -> Answer:
        """Send the parts on a connection of their own, and return the first answer."""
        with closing(socket.create_connection(self.address, seconds)) as connection:
            for part in parts:
                connection.sendall(part)
            return answer(connection)

    @contextmanager
    def holding(self, number: int, *said: bytes) -> Iterator[list[socket.socket]]:
        """Hold so many connections that have said this and nothing more."""
        with ExitStack() as open_:
            held = []
            for _ in range(number):
                held.append(open_.enter_context(closing(socket.create_connection(self.address, SECONDS))))
                for part in said:
                    held[-1].sendall(part)
            yield held

    def goodput(self, seconds: float = 1.0, clients: int = 4) -> float:
        """How many reads a second others get answered."""
        until, counts = time.monotonic() + seconds, []

        def ask() -> None:
            done = 0
            with closing(socket.create_connection(self.address, SECONDS)) as connection:
                while time.monotonic() < until:
                    connection.sendall(self.head(path="/v1/orders?limit=1"))
                    done += answer(connection).status == 200
            counts.append(done)

        threads = [threading.Thread(target=ask) for _ in range(clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return sum(counts) / seconds


def answer(connection: socket.socket) -> Answer:
    """Read one answer; of status 0 where the connection ends before."""
    with connection.makefile("rb") as lines:
        first = lines.readline()
        if not first:
            return Answer(0, {}, b"")
        headers = {}
        while (line := lines.readline().strip()) and b":" in line:
            name, _, value = line.partition(b":")
            headers[name.decode().lower()] = value.strip().decode()
        return Answer(int(first.split()[1]), headers, lines.read(int(headers.get("content-length", 0))))

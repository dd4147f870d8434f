"""A request's body, read whole by the event loop before any thread is taken."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, MutableMapping
from contextlib import asynccontextmanager
from typing import Any, Final

from waybill.deciders.outcomes import Code
from waybill.rest.problem import Problem

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]

BODY_SECONDS: Final = 20.0
DISCARD_SECONDS: Final = 2.0  # for a client to read a refusal before the connection ends under its body
ALL_BODIES_BYTES: Final = 64_000_000

CLOSE: Final = {"Connection": "close"}
SLOW_BODY: Final = Problem(408, Code.TIMED_OUT, f"the body was not complete after {BODY_SECONDS:g} s", headers=CLOSE)
NO_ROOM: Final = Problem(
    503, Code.OVERLOADED, "too many bodies at once; nothing was done, try again", headers={"Retry-After": "1", **CLOSE}
)


class HungUp(Exception):
    """The client is gone."""


class Bodies:
    """What is being read, and what was read and waits for its answer, within bounds for one and for all."""

    def __init__(self, largest_bytes: int) -> None:
        self._largest = largest_bytes
        self._held = 0

    @asynccontextmanager
    async def read(self, headers: Iterable[tuple[bytes, bytes]], receive: Receive) -> AsyncGenerator[bytes]:
        """Give the body, whether its length was announced or it comes in chunks.

        Raises a Problem of 408, 413 or 503, and HungUp.
        """
        announced = dict(headers).get(b"content-length", b"0")
        if announced.isdigit() and int(announced) > self._largest:
            raise self._too_large()
        body = bytearray()
        try:
            try:
                async with asyncio.timeout(BODY_SECONDS):
                    while await self._has_more(body, receive):
                        pass
            except TimeoutError:
                raise SLOW_BODY from None
            yield bytes(body)
        finally:
            self._held -= len(body)

    async def _has_more(self, body: bytearray, receive: Receive) -> bool:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise HungUp
        body += message["body"]
        self._held += len(message["body"])
        if len(body) > self._largest:
            raise self._too_large()
        if body and self._held > ALL_BODIES_BYTES:
            raise NO_ROOM
        return message["more_body"]

    def _too_large(self) -> Problem:
        return Problem(413, Code.BODY_TOO_LARGE, f"the body is larger than {self._largest} bytes", headers=CLOSE)


async def discard(receive: Receive) -> None:
    """Take what is still on its way, for a moment."""
    try:
        async with asyncio.timeout(DISCARD_SECONDS):
            while (message := await receive())["type"] == "http.request" and message["more_body"]:
                pass
    except TimeoutError:
        return


async def hung_up(receive: Receive) -> None:
    """Return once the client is gone."""
    while (await receive())["type"] != "http.disconnect":
        pass

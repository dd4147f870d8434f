"""Asking the control, the second control and the candidate: a request goes out as it came in, and once.

httpcore2 is used without the client above it: that would add headers, follow what it likes and undo content codings.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import httpcore2

from waybill.shadow import codings
from waybill.shadow.codings import Headers, NotDecoded, TooLarge
from waybill.shadow.comparison import Answer, Missing

CONNECT_SECONDS: Final = 5.0
IDLE_SECONDS: Final = 2.0  # shorter than servers keep an idle connection: they end one before it is used again
# Of one connection and not of the answer (RFC 9110, 7.6.1); `Expect` was answered by our own server.
HOP_BY_HOP: Final = frozenset(
    {
        *(b"connection", b"keep-alive", b"proxy-connection", b"proxy-authenticate", b"proxy-authorization", b"te"),
        *(b"trailer", b"transfer-encoding", b"upgrade", b"expect"),
    }
)
CONDITIONS: Final = frozenset(
    {b"if-none-match", b"if-modified-since", b"if-match", b"if-unmodified-since", b"if-range"}
)


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as it came in: target and headers byte for byte."""

    method: str
    target: bytes
    headers: Headers


class Upstream:
    """One origin that is asked; of the event loop alone."""

    def __init__(self, origin: str, seconds: float, most: int | None = None) -> None:
        """Prepare; connects to nothing yet. `seconds` bounds each wait, `most` the connections."""
        self._origin = httpcore2.URL(origin)
        self._timeout = {"connect": min(CONNECT_SECONDS, seconds), "read": seconds, "write": seconds, "pool": seconds}
        self._pool = httpcore2.AsyncConnectionPool(
            max_connections=most, max_keepalive_connections=most, keepalive_expiry=IDLE_SECONDS
        )

    @asynccontextmanager
    async def asked(
        self, asked: Asked, content: AsyncIterable[bytes] | None = None
    ) -> AsyncGenerator[httpcore2.Response]:
        """Give the answer, its body unread.

        Raises httpcore2's exceptions. A GET or HEAD whose connection was closed before an answer began, as idle ones
        are at any time, is sent once more; anything else never is.
        """
        try:
            response = await self._send(asked, content)
        except (httpcore2.RemoteProtocolError, httpcore2.ReadError, httpcore2.WriteError):
            if content is not None or asked.method not in {"GET", "HEAD"}:
                raise
            response = await self._send(asked, None)
        try:
            yield response
        finally:
            await response.aclose()

    async def _send(self, asked: Asked, content: AsyncIterable[bytes] | None) -> httpcore2.Response:
        at = self._origin
        url = httpcore2.URL(scheme=at.scheme, host=at.host, port=at.port, target=asked.target)
        headers = end_to_end(asked.headers)
        if content is not None and all(name.lower() != b"content-length" for name, _ in headers):
            headers.append((b"Transfer-Encoding", b"chunked"))
        extensions = {"timeout": self._timeout}
        request = httpcore2.Request(asked.method, url, headers=headers, content=content, extensions=extensions)
        return await self._pool.handle_async_request(request)


def end_to_end(headers: Headers) -> list[tuple[bytes, bytes]]:
    """Return the headers without those of the connection."""
    named = {
        token.strip().lower() for name, value in headers if name.lower() == b"connection" for token in value.split(b",")
    }
    return [one for one in headers if one[0].lower() not in HOP_BY_HOP | named]


async def whole(
    upstream: Upstream, asked: Asked, seconds: float, most_bytes: int, compared: Collection[bytes]
) -> Answer | Missing:
    """Ask, and return the whole answer, or why there is none: within so many seconds and bytes, whatever comes."""
    body = bytearray()
    try:
        async with asyncio.timeout(seconds), upstream.asked(asked) as response:
            async for part in response.aiter_stream():
                body += part
                if len(body) > most_bytes:
                    return "too_large"
    except (TimeoutError, httpcore2.TimeoutException):
        return "timed_out"
    except (httpcore2.ConnectError, OSError):
        return "unreachable"
    except (httpcore2.NetworkError, httpcore2.ProtocolError):
        return "broken_off"
    return answer(response.status, response.headers, bytes(body), most_bytes, compared)


def answer(
    status: int, headers: Headers, body: bytes, most_bytes: int, compared: Collection[bytes]
) -> Answer | Missing:
    """Return what is compared of an answer; its body without content coding, bounded too."""
    chosen = {
        name.lower().decode("latin1"): value.decode("latin1") for name, value in headers if name.lower() in compared
    }
    try:
        return Answer(status, chosen, codings.decoded(headers, body, most_bytes))
    except NotDecoded:
        return "not_decoded"
    except TooLarge:
        return "too_large"

"""The reverse proxy: every request goes to the control, once, and its answer to the client as it comes.

Nothing here waits for the candidate. An answer is passed on part by part, no faster than its client reads; of one that
is compared a bounded copy is kept on the way. What a proxy may not pass on is left out: the connection's own headers,
and the length of a body that a 304 does not have.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, MutableMapping
from typing import Any, Final

import httpcore2
import structlog

from waybill.observability import metrics
from waybill.observability.telemetry import new_id
from waybill.shadow.comparing import NOT_MODIFIED, Capture, Comparing
from waybill.shadow.routes import is_chosen
from waybill.shadow.settings import ShadowSettings
from waybill.shadow.upstream import Asked, Headers, Upstream, end_to_end

log: structlog.stdlib.BoundLogger = structlog.get_logger()
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

LONGEST_ID: Final = 128


class HungUp(Exception):
    """The client is gone."""


class Proxy:
    """The ASGI application of the shadow program."""

    def __init__(self, settings: ShadowSettings, comparing: Comparing) -> None:
        self._routes, self._share = settings.routes, settings.shadow_share
        self._control = Upstream(settings.shadow_control, settings.shadow_control_seconds)
        self._comparing = comparing

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request; ends its work where the client goes."""
        passing = _Passing(scope, receive, send)
        capture = self._capture(passing.asked, scope["path"])
        complete = False
        try:
            complete = await passing.until_hung_up(passing.answer(self._control, capture))
        finally:
            if capture is not None:
                self._comparing.settle(capture, complete=complete)

    def _capture(self, asked: Asked, path: str) -> Capture | None:
        route = self._routes.of(asked.method, path)
        if route is None or _has_body(asked.headers):
            return None
        request_id = next((value for name, value in asked.headers if name.lower() == b"x-request-id"), b"")
        named = request_id.decode("latin1")[:LONGEST_ID] or new_id()
        return self._comparing.capture(route, named, asked) if is_chosen(named, self._share) else None


class _Passing:
    """One request on its way to the control, and the answer on its way back."""

    def __init__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        query = scope["query_string"]
        target = scope["raw_path"] + (b"?" + query if query else b"")
        self.asked = Asked(scope["method"], target, scope["headers"])
        self._receive, self._send = receive, send
        self._has_body = _has_body(scope["headers"])
        self._read = asyncio.Event()  # the whole request
        self._started = False

    async def until_hung_up(self, work: Awaitable[bool]) -> bool:
        """Return what the work returns; False, and the work ended, where the client goes first."""
        working, gone = asyncio.ensure_future(work), asyncio.ensure_future(self._hung_up())
        try:
            await asyncio.wait((working, gone), return_when=asyncio.FIRST_COMPLETED)
            return working.done() and working.result()
        finally:
            gone.cancel()
            if not working.done():
                working.cancel()
                await asyncio.wait((working,))

    async def _hung_up(self) -> None:
        if self._has_body:
            await self._read.wait()
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def answer(self, control: Upstream, capture: Capture | None) -> bool:
        """Pass the request to the control, and its answer back; tells whether all of it went out."""
        try:
            async with control.asked(self.asked, self._body() if self._has_body else None) as answer:
                await self._pass_back(answer, capture)
        except HungUp:
            return False
        except httpcore2.TimeoutException as error:
            return await self._failed(504, "timed_out", error)
        except (httpcore2.NetworkError, httpcore2.ProtocolError, OSError) as error:
            return await self._failed(502, "unreachable", error)
        return True

    async def _pass_back(self, answer: httpcore2.Response, capture: Capture | None) -> None:
        headers = end_to_end(answer.headers)
        if capture is not None:
            capture.begin(answer.status, answer.headers)
        if answer.status == NOT_MODIFIED:
            headers = [one for one in headers if one[0].lower() != b"content-length"]
        await self._begin(answer.status, headers)
        async for part in answer.aiter_stream():
            if capture is not None:
                capture.add(part)
            await self._send({"type": "http.response.body", "body": part, "more_body": True})
        await self._send({"type": "http.response.body", "body": b""})

    async def _begin(self, status: int, headers: Headers) -> None:
        self._started = True
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    async def _body(self) -> AsyncGenerator[bytes]:
        """Give the request's body as it comes. Raises HungUp."""
        more = True
        while more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise HungUp
            more = message["more_body"]
            yield message["body"]
        self._read.set()

    async def _failed(self, status: int, reason: str, error: Exception) -> bool:
        """Answer in the control's place where nothing of its answer went out; else leave the client with a part."""
        metrics.inc("shadow_control_failures_total", reason="broken_off" if self._started else reason)
        log.warning("control_failed", reason=reason, answer_begun=self._started, error=repr(error))
        if self._started:
            return False  # without the end of an answer the server closes the connection: the client knows
        said = b'{"title": "the service behind this proxy did not answer", "status": %d}' % status
        kind = (b"content-type", b"application/problem+json")
        await self._begin(status, [kind, (b"content-length", b"%d" % len(said))])
        await self._send({"type": "http.response.body", "body": said})
        return False


def _has_body(headers: Headers) -> bool:
    return any(name.lower() in {b"content-length", b"transfer-encoding"} and value != b"0" for name, value in headers)

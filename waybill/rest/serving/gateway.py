"""Between the connections and Django: what waits, waits without a thread.

The caller's rate limit is heeded, and the body of a request read by the event loop, with a deadline and bounds, before
a thread is taken. Then as many requests are in work as there are threads, and a bounded number waits for a
bounded time. Whoever comes beyond that, or has waited in the kernel for the loop (unread.py), is answered 503 with
Retry-After, before the request is even parsed (connections.py): at more load than the service can take, a refusal must
cost a fraction of an answer. A request that waited too long for a thread is not begun: its client has likely given up.

The threads are kept, and each its database connection. Django's own ASGI handler makes a thread a request, and with it
a connection; here the endpoints run in the threads as they would under WSGI. An async endpoint runs in the event loop
and takes a thread for each question to the database (request_threads.py); a response whose content is an async iterator
is sent from the loop. So a client that waits for something, or follows a stream, holds no thread.

Rejected: Django's ASGI handler, for the connection a request; WSGI, where a body is read in the thread of the request,
so that as many slow clients as there are threads stop the service.
"""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any, Final

import structlog
from django.core import signals
from django.core.handlers.asgi import ASGIRequest
from django.core.handlers.base import BaseHandler
from django.http import HttpResponse, StreamingHttpResponse
from django.urls import Resolver404, resolve

from waybill.deciders.outcomes import Code
from waybill.observability.telemetry import new_id
from waybill.rest.problem import Problem
from waybill.rest.serving import hosts, refusals
from waybill.rest.serving.bodies import Bodies, HungUp, Message, Receive, discard, hung_up
from waybill.rest.serving.rate_limit_sharing import SharedRateLimits
from waybill.rest.serving.rate_limits import Policy, Standing
from waybill.rest.serving.refusals import OVERLOADED
from waybill.rest.serving.request_threads import in_thread
from waybill.rest.serving.security_headers import CONTENT_SECURITY_POLICY, NOTHING_RUNS, SECURITY_HEADERS

log: structlog.stdlib.BoundLogger = structlog.get_logger()
Scope = dict[str, Any]
Send = Callable[[Message], Awaitable[None]]

MOST_WAITING: Final = 2_000  # async requests and streams: each costs a socket and some kilobytes
DEFECT: Final = Problem(500, Code.INTERNAL_ERROR, "an error of ours; its request_id is in our log")


@dataclass(frozen=True, slots=True)
class Limits:
    """What one process takes at once."""

    threads: int
    queue: int
    queue_seconds: float
    body_bytes: int
    rate: Policy | None
    """Of one caller; None: as many as it likes."""


class Handler(BaseHandler):
    """Django's handling of requests, without a server's adapter."""

    def __init__(self, *, is_async: bool) -> None:
        super().__init__()
        self.load_middleware(is_async=is_async)


class Gateway:
    """The ASGI application of a web program."""

    def __init__(self, allowed_hosts: Sequence[str], limits: Limits) -> None:
        self._hosts = allowed_hosts
        self._threads, self._most = limits.threads, limits.threads + limits.queue
        self._queue_seconds = limits.queue_seconds
        self._bodies = Bodies(limits.body_bytes)
        self._rates = limits.rate and SharedRateLimits(limits.rate)
        self._for_threads, self._for_loop = Handler(is_async=False), Handler(is_async=True)
        self._taken = self._waiting = 0

    def is_full(self) -> bool:
        """Tell whether no request that needs a thread is taken now: the queue is full."""
        return self._taken >= self._most

    def is_busy(self) -> bool:
        """Tell whether a request that needs a thread would have to wait for one."""
        return self._taken >= self._threads

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        # `X_Request_ID` would come out as X-Request-ID: to whoever speaks of headers as CGI does, both are one name.
        scope["headers"] = [(name, value) for name, value in scope["headers"] if b"_" not in name]
        try:
            hosts.check(scope["headers"], self._hosts)
            if self._rates is not None:
                standing = self._rates.admit(scope["headers"], (scope["client"] or ("",))[0])
                send = _telling(standing, send)
                if not standing.admitted:
                    raise standing.problem()
            async with self._bodies.read(scope["headers"], receive) as body:
                await self._answer(scope, body, receive, send)
        except HungUp:
            return
        except Problem as problem:
            await _refuse(problem, receive, send)

    async def _answer(self, scope: Scope, body: bytes, receive: Receive, send: Send) -> None:
        if _is_async(scope["path"]):
            await self._in_loop(scope, body, receive, send)
        else:
            await _send(await self._in_turn(scope, body), receive, send)

    async def _in_turn(self, scope: Scope, body: bytes) -> Any:
        if self.is_full():
            raise OVERLOADED
        self._taken += 1
        ticket = [True]
        answering = asyncio.ensure_future(in_thread(self._in_thread, scope, body, ticket))
        answering.add_done_callback(self._done)
        await asyncio.wait((answering,), timeout=self._queue_seconds)
        if not answering.done() and _taken(ticket):
            raise OVERLOADED
        try:
            return await answering
        except Exception as error:
            log.exception("defect", path=scope["path"], exc_info=error)
            raise DEFECT from None

    def _done(self, _: asyncio.Future[Any]) -> None:
        self._taken -= 1

    def _in_thread(self, scope: Scope, body: bytes, ticket: list[bool]) -> Any:
        if not _taken(ticket):
            return None  # it was answered meanwhile that there was no thread in time
        signals.request_started.send(sender=self.__class__, scope=scope)
        response: Any = self._for_threads.get_response(ASGIRequest(scope, BytesIO(body)))
        if not response.streaming:
            response.close()
        elif not response.is_async:
            response = _whole(response)
        return response

    async def _in_loop(self, scope: Scope, body: bytes, receive: Receive, send: Send) -> None:
        if self._waiting >= MOST_WAITING:
            raise OVERLOADED
        self._waiting += 1
        try:
            request = ASGIRequest(scope, BytesIO(body))
            response = await _while_there(self._for_loop.get_response_async(request), receive)
            await _send(response, receive, send)
        finally:
            self._waiting -= 1


def _taken(ticket: list[bool]) -> bool:
    """Take the ticket, and return whether nobody had: the thread takes it to begin, the loop to give up."""
    try:
        return ticket.pop()
    except IndexError:
        return False


def _telling(standing: Standing, send: Send) -> Send:
    """Return a `send` that tells in every answer where the caller stands."""

    async def telling(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] += standing.headers()
        await send(message)

    return telling


def _is_async(path: str) -> bool:
    try:
        return inspect.iscoroutinefunction(resolve(path).func)
    except Resolver404:
        return False


async def _while_there(work: Any, receive: Receive) -> Any:
    """Return what comes of the work; raises HungUp, and ends the work, where the client goes."""
    working, gone = asyncio.ensure_future(work), asyncio.ensure_future(hung_up(receive))
    try:
        await asyncio.wait((working, gone), return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise HungUp
        return working.result()
    finally:
        working.cancel()
        gone.cancel()


def _whole(response: Any) -> HttpResponse:
    """Return what is read from a file as a response in memory: no file here is large."""
    content = b"".join(response.streaming_content)
    response.close()
    return HttpResponse(content, status=response.status_code, headers=dict(response.items()))


async def _send(response: Any, receive: Receive, send: Send) -> None:
    headers = [(name.encode("ascii"), value.encode("latin1")) for name, value in response.items()]
    headers += [(b"Set-Cookie", cookie.OutputString().encode("ascii")) for cookie in response.cookies.values()]
    await send(_start(response.status_code, headers))
    if not response.streaming:
        await send({"type": "http.response.body", "body": response.content})
        return
    try:
        await _while_there(_stream(response, send), receive)
    finally:
        response.close()


async def _stream(response: StreamingHttpResponse, send: Send) -> None:
    async for part in response:
        await send({"type": "http.response.body", "body": part, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def _refuse(problem: Problem, receive: Receive, send: Send) -> None:
    refusals.count(problem)
    headers, body = problem.plain(new_id())
    hangs_up = "Connection" in problem.headers
    await send(_start(problem.status, headers))
    await send({"type": "http.response.body", "body": body, "more_body": hangs_up})
    if hangs_up:
        await discard(receive)
        await send({"type": "http.response.body", "body": b""})


def _start(status: int, headers: list[tuple[bytes, bytes]]) -> Message:
    if all(name != CONTENT_SECURITY_POLICY for name, _ in headers):
        headers.append((CONTENT_SECURITY_POLICY, NOTHING_RUNS))
    told = {name.lower() for name, _ in headers}
    added = [header for header in SECURITY_HEADERS if header[0].lower() not in told]
    return {"type": "http.response.start", "status": status, "headers": [*headers, *added]}

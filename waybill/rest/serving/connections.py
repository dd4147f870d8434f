"""One HTTP connection: what a client may send, and how long it may take, before the service gives it anything.

A connection costs a socket and some hundred bytes. Nobody waits for it: the head of a request must be complete within a
deadline, an idle connection and one whose client does not read are closed, and what is no HTTP is answered with a
problem and closed. The body's deadline is the gateway's.
"""

import asyncio
import resource
from collections import deque
from collections.abc import Callable
from typing import Any, Final

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from waybill.deciders.outcomes import Code
from waybill.observability.telemetry import new_id
from waybill.rest.problem import Problem
from waybill.rest.serving import refusals
from waybill.rest.serving.refusals import OVERLOADED
from waybill.rest.serving.security_headers import CONTENT_SECURITY_POLICY, NOTHING_RUNS, SECURITY_HEADERS
from waybill.rest.serving.unread import unread_seconds

MOST_WAITED_SECONDS: Final = 0.25
HEAD_SECONDS: Final = 10.0
IDLE_SECONDS: Final = 75  # longer than the minute that balancers keep a connection open without a request
UNREAD_SECONDS: Final = 20.0
LINGER_SECONDS: Final = 2.0  # for a refusal to be read before what was still on its way resets the connection
DRAIN_IDLE_SECONDS: Final = 1.0  # a client that has just asked on an idle connection does not know that it ends
LONGEST_TARGET: Final = 8_192
LARGEST_HEAD: Final = 32_768
MOST_PIPELINED: Final = 16
OTHER_FILES: Final = 256  # descriptors kept for the database, the log, the health port

MALFORMED: Final = Problem(400, Code.MALFORMED_REQUEST, "this is not a well-formed HTTP request")
TARGET_TOO_LONG: Final = Problem(414, Code.TARGET_TOO_LONG, f"path and query are longer than {LONGEST_TARGET} bytes")
HEAD_TOO_LARGE: Final = Problem(431, Code.HEAD_TOO_LARGE, f"the headers are larger than {LARGEST_HEAD} bytes")
PIPELINED: Final = Problem(
    400, Code.MALFORMED_REQUEST, f"more than {MOST_PIPELINED} requests were sent without an answer"
)
HEAD_TOO_SLOW: Final = Problem(408, Code.TIMED_OUT, f"the headers were not complete after {HEAD_SECONDS:g} s")
TOO_MANY: Final = Problem(503, Code.OVERLOADED, "too many connections; try again", headers={"Retry-After": "1"})
FOR_BROWSERS: Final = (*SECURITY_HEADERS, (CONTENT_SECURITY_POLICY, NOTHING_RUNS))


def most_connections() -> int:
    """Raise the limit of open files as far as the process may, and return how many may be connections."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = 65_536 if hard == resource.RLIM_INFINITY else hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    return max(OTHER_FILES, most - OTHER_FILES)


class Connection(HttpToolsProtocol):
    """uvicorn's own protocol, with limits."""

    most = OTHER_FILES
    """How many there may be at once; the server sets it."""
    is_full: Callable[[], bool]
    """Whether a request would not be taken; the server sets it."""
    is_busy: Callable[[], bool]
    """Whether a request would have to wait for a thread; the server sets it."""
    draining = False
    """Whether every answer is its connection's last; the server sets it when it is told to stop."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._timer: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None
        self._refusal = MALFORMED
        self._head_bytes = 0
        self._in_head, self._refused = True, False
        self._open: deque[Any] = deque()  # requests that are not answered yet, the first one in work

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start the first head's deadline; refuse where there are too many connections."""
        super().connection_made(transport)  # pyright: ignore[reportArgumentType] - a Transport in fact
        if len(self.connections) > self.most:
            self._refuse(TOO_MANY)
        else:
            self._within(HEAD_SECONDS, self._head_is_late)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the timers and the requests."""
        self._let_go()
        self._unset_keepalive_if_required()
        for timer in (self._timer, self._unread):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse; a head is complete within its deadline and its size, however its bytes come."""
        if self._refused:
            return  # lingering: what was on its way
        begins = self._in_head and self._head_bytes == 0
        if begins and not self._answering() and (self.is_full() or self._has_waited_too_long()):
            self._refuse(OVERLOADED)  # unread: a refusal must cost a fraction of an answer
            return
        if begins and self._timer is None:
            self._within(HEAD_SECONDS, self._head_is_late)
        self._head_bytes += len(data)
        super().data_received(data)
        if self._in_head and not self._refused and self._head_bytes > LARGEST_HEAD:
            self._refuse(TARGET_TOO_LONG if len(self.url) > LONGEST_TARGET else HEAD_TOO_LARGE)

    def on_message_begin(self) -> None:
        """Expect a head."""
        super().on_message_begin()
        self._in_head = True

    def on_url(self, url: bytes) -> None:
        """Bound path and query."""
        super().on_url(url)
        if len(self.url) > LONGEST_TARGET:
            self._fail(TARGET_TOO_LONG)

    def on_headers_complete(self) -> None:
        """Bound the head, and hand the request over."""
        if sum(len(name) + len(value) + 4 for name, value in self.headers) > LARGEST_HEAD:
            self._fail(HEAD_TOO_LARGE)
        codings = b", ".join(value for name, value in self.headers if name == b"transfer-encoding").decode("latin1")
        if codings.strip().lower() not in {"", "chunked"}:
            detail = f"the body has Transfer-Encoding {codings[:100]!r}; send it with a length, or chunked"
            self._fail(Problem(400, Code.MALFORMED_REQUEST, detail))
        if len(self.pipeline) >= MOST_PIPELINED:
            self._fail(PIPELINED)
        if not self.url.startswith(b"/"):
            self._take_host_of_target()
        super().on_headers_complete()
        if self.draining:
            self.cycle.keep_alive = False
        self._open.append(self.cycle)
        self._in_head = False
        self._no_timer()

    def _take_host_of_target(self) -> None:
        """Let `GET http://host/path` ask for that host, whatever the header says (RFC 9112, 3.2.2)."""
        target = httptools.parse_url(self.url)
        if target.host:
            port = b":%d" % target.port if target.port else b""
            self.headers[:] = [one for one in self.headers if one[0] != b"host"] + [(b"host", target.host + port)]

    def on_message_complete(self) -> None:
        """Expect the next head."""
        super().on_message_complete()
        self._in_head, self._head_bytes = True, 0

    def on_response_complete(self) -> None:
        """Wait for the next request, and for the client to have read this answer."""
        super().on_response_complete()
        if self._open:
            self._open.popleft()
        if self.transport.is_closing():
            self._watch_reader()

    def shutdown(self) -> None:
        """End after the answer that is under way, or after one to what may still be on its way."""
        if self._answering():
            super().shutdown()
        else:
            self.loop.call_later(DRAIN_IDLE_SECONDS, self._end_idle)

    def timeout_keep_alive_handler(self) -> None:
        """Close an idle connection, also one that has not read its last answer."""
        self._abort() if self.transport.get_write_buffer_size() else self.transport.close()

    def pause_writing(self) -> None:
        """Give a client that does not read a deadline."""
        super().pause_writing()
        self._watch_reader()

    def resume_writing(self) -> None:
        """Take the deadline back."""
        super().resume_writing()
        if self._unread is not None:
            self._unread.cancel()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - the library's signature
        """Answer what the parser refused."""
        self._refuse(self._refusal)

    def _end_idle(self) -> None:
        if not self._answering() and not self._head_bytes:
            self.transport.close()

    def _fail(self, problem: Problem) -> None:
        """Leave the parser, which calls send_400_response."""
        self._refusal = problem
        raise httptools.HttpParserError(problem.detail)

    def _refuse(self, problem: Problem) -> None:
        """Answer with the problem, once what was asked before is answered, and hang up."""
        if self._refused or self.transport.is_closing():
            return
        self._refused = True
        self._no_timer()
        refusals.count(problem)
        if self._answering():
            self._let_go()
            self.transport.close()  # an answer of ours would be read as that of an earlier request
            return
        headers, body = problem.plain(new_id())
        lines = [b"%s: %s\r\n" % one for one in (*headers, *FOR_BROWSERS, (b"Connection", b"close"))]
        self.transport.write(b"".join((STATUS_LINE[problem.status], *lines, b"\r\n", body)))
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._within(LINGER_SECONDS, self._abort)

    def _abort(self) -> None:
        self._let_go()
        self.transport.abort()

    def _let_go(self) -> None:
        """Let no answer be written to a transport that is closed, which would be an error of the application's."""
        for cycle in self._open:
            cycle.disconnected = True
            cycle.message_event.set()

    def _has_waited_too_long(self) -> bool:
        return self.is_busy() and unread_seconds(self.transport.get_extra_info("socket")) > MOST_WAITED_SECONDS

    def _answering(self) -> bool:
        cycle: Any = self.cycle  # None before the first request
        return cycle is not None and not cycle.response_complete

    def _head_is_late(self) -> None:
        self._timer = None
        if self._head_bytes:
            self._refuse(HEAD_TOO_SLOW)
        else:
            self.transport.close()

    def _within(self, seconds: float, otherwise: Any) -> None:
        self._no_timer()
        self._timer = self.loop.call_later(seconds, otherwise)

    def _no_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _watch_reader(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
        self._unread = self.loop.call_later(UNREAD_SECONDS, self._abort)

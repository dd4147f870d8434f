"""Calls to one service: pooled connections, a deadline, retries of what may be done twice, and Django's errors.

A call may be repeated where doing it twice is doing it once: reads, deletes, updates without a version, and inserts,
which carry an Idempotency-Key. An update with If-Match is repeated only where no connection was made: after a lost
answer its own first attempt would look like somebody else's change. A connection's options:

- `timeout`: seconds for the whole of an attempt (5);
- `retries`: further attempts (2);
- `token`: a callable that returns a bearer token, or its dotted path; called for each call, and again after a 401;
- `connections`: kept open at most, by all threads of the process (20).
"""

import json
import os
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, cast
from urllib.parse import urlencode, urljoin, urlsplit

import httpx2 as httpx
import tenacity
from django.utils.module_loading import import_string

from waybill.rest_backend import errors
from waybill.rest_backend.middleware.incoming import passed_on
from waybill.runtime.http_client import HttpClient

AGAIN: Final = frozenset({429, 502, 503, 504})
LONGEST_WAIT: Final = 2.0  # seconds between two attempts, whatever Retry-After asks for: a page waits for us
JSON: Final = ("application/json", "application/problem+json")


@dataclass(frozen=True, slots=True)
class Call:
    """One HTTP request."""

    method: str
    path: str
    parameters: Sequence[tuple[str, str]] = ()
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    repeatable: bool = True
    writing: bool = False

    def __str__(self) -> str:
        query = "&".join(f"{name}={value}" for name, value in self.parameters)
        return f"{self.method} {self.path}?{query}" if query else f"{self.method} {self.path}"


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: 2xx, or a 404 of an item."""

    status: int
    headers: Mapping[str, str]
    body: Any
    attempts: int


class Again(Exception):
    """An attempt that failed and may be repeated."""

    def __init__(self, error: Exception, wait: float | None) -> None:
        super().__init__(str(error))
        self.error, self.wait = error, wait


_clients: dict[tuple[float, int], HttpClient] = {}
_lock = threading.Lock()


def _client(seconds: float, connections: int) -> HttpClient:
    """Return the process's client, whose connections all threads and all services use."""
    with _lock:
        if (found := _clients.get((seconds, connections))) is None:
            limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
            found = _clients[seconds, connections] = HttpClient(seconds, limits=limits, follow_redirects=False)
        return found


os.register_at_fork(after_in_child=_clients.clear)  # sockets are the parent's


class Service:
    """A service's address and how it is called; threads may share one."""

    def __init__(self, url: str, options: Mapping[str, Any]) -> None:
        """Take an address and a connection's options. Raises ValueError."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise ValueError(f"NAME is {url!r}; expected the service's address, as https://reviews.example/v1")
        self.url = url.rstrip("/")
        self._origin = (parts.scheme, parts.netloc)
        self._seconds = float(options.get("timeout", 5))
        self._attempts = int(options.get("retries", 2)) + 1
        self._connections = int(options.get("connections", 20))
        self._token = _token(options.get("token"))

    def call(self, call: Call) -> Answer:
        """Make the call. Raises the exceptions of `errors`."""
        waits = tenacity.wait_random_exponential(0.05, LONGEST_WAIT)
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(Again),
            stop=tenacity.stop_after_attempt(self._attempts),
            wait=lambda state: _asked_wait(state) or waits(state),
            reraise=True,
        )
        try:
            for attempt in retrying:
                with attempt:
                    return self._attempt(call, attempt.retry_state.attempt_number)
        except Again as again:
            raise again.error from again.error.__cause__
        raise AssertionError("tenacity ends with an answer or an error")

    def link(self, call: Call, link: str) -> Call:
        """Return the call for a page that an answer leads to. Raises ServiceUnavailable for another service's."""
        target = urljoin(f"{self.url}{call.path}", link)
        parts = urlsplit(target)
        if (parts.scheme, parts.netloc) != self._origin:
            raise errors.ServiceUnavailable(f"{call}: its next page is at {link[:200]!r}, which is another service")
        return Call(call.method, target)

    def _attempt(self, call: Call, number: int) -> Answer:
        token = self._token()
        response = self._sent(call, token)
        if response.status_code == 401 and (other := self._token()) != token:  # noqa: PLR2004 - it had run out
            response = self._sent(call, other)
        return self._read(call, response, number)

    def _sent(self, call: Call, token: str | None) -> httpx.Response:
        headers = {"Accept": "application/json", "X-Request-ID": uuid.uuid4().hex, **passed_on(), **call.headers}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        if call.body is not None:
            headers["Content-Type"] = "application/json"
        url = call.path if "://" in call.path else f"{self.url}{call.path}"
        url = f"{url}?{urlencode(call.parameters, safe=',')}" if call.parameters else url
        content = None if call.body is None else json.dumps(call.body).encode()
        try:
            return _client(self._seconds, self._connections).request(call.method, url, headers=headers, content=content)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise Again(_unreachable(call, error), None) from error
        except httpx.TransportError as error:
            found = _unreachable(call, error)
            raise Again(found, None) if call.repeatable else found from error

    def _read(self, call: Call, response: httpx.Response, number: int) -> Answer:
        status, wait = response.status_code, _retry_after(response)
        body = _json(call, response) if status != 204 else None  # noqa: PLR2004 - no content
        if 200 <= status < 300 or (status == 404 and call.writing and call.method != "POST"):  # noqa: PLR2004 - 2xx
            return Answer(status, response.headers, body, number)
        problem = cast("dict[str, Any]", body) if isinstance(body, dict) else {}
        error = errors.of(str(call), status, problem, writing=call.writing, retry_after=wait)
        in_use = status == 409 and problem.get("code") == "idempotency_key_in_use"  # noqa: PLR2004
        if call.repeatable and (status in AGAIN or in_use):
            raise Again(error, wait)
        raise error


def _token(given: Any) -> Callable[[], str | None]:
    found = import_string(given) if isinstance(given, str) else given
    if found is None:
        return lambda: None
    if not callable(found):
        raise ValueError("OPTIONS['token'] is to be a callable that returns a token, or the dotted path of one")  # noqa: TRY004 - Django's settings
    return cast("Callable[[], str | None]", found)


def _json(call: Call, response: httpx.Response) -> Any:
    """Return the body. Raises ServiceUnavailable for what no service of the contract says."""
    status, kind = response.status_code, response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if 300 <= status < 400:  # noqa: PLR2004 - 3xx
        where = response.headers.get("Location", "nowhere")[:200]
        raise errors.ServiceUnavailable(f"{call}: {status} to {where}: redirects are not followed; correct NAME")
    if kind not in JSON:
        if status >= 400 and status != 404:  # noqa: PLR2004 - a proxy's own page: its status is what counts
            return {"detail": f"a {kind or 'bare'} answer of {len(response.content)} bytes"}
        raise errors.ServiceUnavailable(f"{call}: {status} with {kind or 'no type'} where JSON was expected")
    try:
        return json.loads(response.content)
    except (ValueError, RecursionError) as error:
        raise errors.ServiceUnavailable(f"{call}: {status} with a body that is no JSON: {error}") from error


def _unreachable(call: Call, error: Exception) -> errors.ServiceUnavailable:
    return errors.ServiceUnavailable(f"{call}: {type(error).__name__}: {error}")


def _retry_after(response: httpx.Response) -> float | None:
    text = response.headers.get("Retry-After", "")
    return float(text) if text.isascii() and text.isdigit() else None


def _asked_wait(state: tenacity.RetryCallState) -> float | None:
    error = state.outcome.exception() if state.outcome else None
    return min(error.wait, LONGEST_WAIT) if isinstance(error, Again) and error.wait else None

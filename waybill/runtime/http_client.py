"""An HTTP client whose calls have one deadline for the whole of each."""

import ssl
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from typing import Any

import httpcore2
import httpx2 as httpx

from waybill.runtime import outside
from waybill.tracing import spans


class AddressRefused(httpcore2.ConnectError):
    """A name has addresses, and this client may connect to none of them."""


def _any(_: str) -> bool:
    return True


class HttpClient(httpx.Client):
    """Give every call, with the body of its answer, so many seconds in all; may be used by many threads.

    `may_reach` is asked for each address that a name was resolved to, and the connection is made to that address: the
    name is not resolved again in between.
    """

    def __init__(self, seconds: float, *, may_reach: Callable[[str], bool] = _any, **given: Any) -> None:
        super().__init__(timeout=seconds, **given)
        self._seconds = seconds
        for transport in (self._transport, *self._mounts.values()):
            if isinstance(transport, httpx.HTTPTransport):
                transport._pool._network_backend = _Network(may_reach)  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] - httpx offers no other way

    def send(self, request: httpx.Request, **given: Any) -> httpx.Response:
        """Send, and read the whole answer; raises httpx.TransportError where that takes too long."""
        # Neither path nor headers: a URL may hold a secret, and whom we call learns nothing of our traces.
        calling = spans.span(
            request.method,
            "client",
            attributes={
                "http.request.method": request.method,
                "server.address": request.url.host,
                "server.port": request.url.port or {"http": 80}.get(request.url.scheme, 443),
            },
        )
        with outside.within(self._seconds), calling as span:
            response = super().send(request, **given)
            if span is not None:
                span.set_attribute("http.response.status_code", response.status_code)
                if response.is_error:
                    spans.fail(span, str(response.status_code))
            return response


class _Stream(httpcore2.NetworkStream):
    """A connection on which nothing outlasts the deadline."""

    def __init__(self, stream: httpcore2.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        with _timing_out(httpcore2.ReadTimeout):
            return self._stream.read(max_bytes, outside.left(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        with _timing_out(httpcore2.WriteTimeout):
            self._stream.write(buffer, outside.left(timeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        with _timing_out(httpcore2.ConnectTimeout):
            return _Stream(self._stream.start_tls(ssl_context, server_hostname, outside.left(timeout)))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class _Network(httpcore2.SyncBackend):
    """Connect within the deadline, resolving the name included: every address of a host has only what is left."""

    def __init__(self, may_reach: Callable[[str], bool]) -> None:
        self._may_reach = may_reach

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.NetworkStream:
        options = list(socket_options or ())
        failed: Exception = httpcore2.ConnectError(f"{host} has no address")
        with _timing_out(httpcore2.ConnectTimeout):
            found = _resolved(host, port)
            reached = [one for one in found if self._may_reach(str(one[-1][0]))]
            if found and not reached:
                raise AddressRefused(f"{host} has no address that may be called")
            for *_, address in reached:
                try:
                    limit = outside.left(timeout)
                    return _Stream(super().connect_tcp(str(address[0]), port, limit, local_address, options))
                except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                    failed = error
        raise failed


def _resolved(host: str, port: int) -> list[tuple[Any, ...]]:
    try:
        return outside.addresses(host, port)
    except TimeoutError:
        raise
    except OSError as error:
        raise httpcore2.ConnectError(f"{host}: {error}") from error


@contextmanager
def _timing_out(kind: type[Exception]) -> Generator[None]:
    """Raise what httpcore raises where the deadline has passed before there was anything to wait for."""
    try:
        yield
    except TimeoutError as error:
        raise kind(str(error)) from error

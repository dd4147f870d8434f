"""uvicorn as a program of ours runs it: the same configuration for all, and drained by SIGTERM or SIGINT."""

import socket
from collections.abc import Callable
from types import FrameType
from typing import Any, Final

import uvicorn

from waybill.observability.health import cannot_listen
from waybill.rest.serving.connections import IDLE_SECONDS, Connection
from waybill.runtime import addresses

BACKLOG: Final = 2_048
DRAIN_SECONDS: Final = 10


class Unqueued(Connection):
    """A connection of a program without a queue that could be full: nothing waits for a thread."""

    is_full = staticmethod(lambda: False)
    is_busy = staticmethod(lambda: False)


def listening(host: str, port: int, *, variable: str = "WAYBILL_PORT") -> socket.socket:
    """Return the listening socket. Raises SystemExit where the address is taken."""
    try:
        family, address = addresses.resolve(host, port, socket.SOCK_STREAM)
        return socket.create_server(address, family=family, backlog=BACKLOG)
    except OSError as error:
        raise SystemExit(cannot_listen(host, port, error, variable)) from None


class DrainingServer(uvicorn.Server):
    """Ends as a program does that was told to: with exit code 0, where uvicorn sends itself the signal again."""

    def __init__(
        self, application: Any, connection: type[Connection], drain: Callable[[], object], *, date: bool = True
    ) -> None:
        """Take the application and the class of its connections; `drain` is called once by a signal."""
        super().__init__(
            uvicorn.Config(
                application,
                http=connection,
                ws="none",
                lifespan="off",
                interface="asgi3",
                loop="auto",  # uvloop where it is installed
                backlog=BACKLOG,
                timeout_keep_alive=IDLE_SECONDS,
                timeout_graceful_shutdown=DRAIN_SECONDS,
                log_config=None,
                log_level="error",
                access_log=False,
                server_header=False,
                proxy_headers=False,
                date_header=date,
            )
        )
        self._connection, self._drain = connection, drain

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Take no new connection, and end those that stream."""
        super().handle_exit(sig, frame)
        self._connection.draining = True
        self._drain()
        self._captured_signals.clear()

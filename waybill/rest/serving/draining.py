"""uvicorn as a program of ours runs it: the same configuration for all, and drained by SIGTERM or SIGINT."""

from collections.abc import Callable
from types import FrameType
from typing import Any, Final

import uvicorn

from waybill.rest.serving.connections import IDLE_SECONDS, Connection

BACKLOG: Final = 2_048
DRAIN_SECONDS: Final = 10


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
                loop="uvloop",
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

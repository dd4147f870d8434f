"""The server of a web program: uvicorn, with connections of ours, in one process.

SIGTERM and SIGINT drain it: it takes no new connection, answers what it took, ends what streams, and leaves. A request
that comes on an idle connection meanwhile is answered too, as the last one there.
"""

import socket
import sys
from contextlib import nullcontext
from pathlib import Path
from types import FrameType
from typing import Final

import uvicorn

from waybill.observability.health import cannot_listen
from waybill.rest.serving import handover
from waybill.rest.serving.connections import IDLE_SECONDS, Connection, most_connections
from waybill.rest.serving.gateway import Gateway
from waybill.rest.waiting import CHANGES
from waybill.runtime import addresses

BACKLOG: Final = 2_048
DRAIN_SECONDS: Final = 10
# How long a thread keeps the interpreter from the event loop, which asks for it at every event: Python's own 5 ms
# would let a loop beside busy threads take less than they can answer, and refuse nobody.
SWITCH_SECONDS: Final = 0.0002


class _Server(uvicorn.Server):
    """Ends as a program does that was told to: with exit code 0, where uvicorn sends itself the signal again."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        super().handle_exit(sig, frame)
        Connection.draining = True
        CHANGES.close()
        self._captured_signals.clear()


def serve(gateway: Gateway, host: str, port: int, sockets: Path | None = None) -> None:
    """Answer on host:port until told to stop; to be called by the main thread. Raises SystemExit where it is taken.

    `sockets`: the folder where programs on one port hand their listening socket to each other.
    """
    sys.setswitchinterval(SWITCH_SECONDS)
    Connection.most = most_connections()
    Connection.is_full = gateway.is_full  # pyright: ignore[reportAttributeAccessIssue] - bound already
    Connection.is_busy = gateway.is_busy  # pyright: ignore[reportAttributeAccessIssue] - bound already
    try:
        family, address = addresses.resolve(host, port, socket.SOCK_STREAM)
        given = handover.received(sockets, address) if sockets else None
        listener = given or socket.create_server(address, family=family, backlog=BACKLOG)
    except OSError as error:
        raise SystemExit(cannot_listen(host, port, error)) from None
    with listener, handover.offered(listener, sockets) if sockets else nullcontext():
        config = uvicorn.Config(
            gateway,
            http=Connection,
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
        )
        _Server(config).run([listener])

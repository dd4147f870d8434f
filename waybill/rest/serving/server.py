"""The server of a web program: uvicorn, with connections of ours, in one process.

SIGTERM and SIGINT drain it: it takes no new connection, answers what it took, ends what streams, and leaves. A request
that comes on an idle connection meanwhile is answered too, as the last one there.
"""

import socket
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Final

from waybill.observability.health import cannot_listen
from waybill.rest.serving import handover
from waybill.rest.serving.connections import Connection, most_connections
from waybill.rest.serving.draining import BACKLOG, DrainingServer
from waybill.rest.serving.gateway import Gateway
from waybill.rest.waiting import CHANGES
from waybill.runtime import addresses

# How long a thread keeps the interpreter from the event loop, which asks for it at every event: Python's own 5 ms
# would let a loop beside busy threads take less than they can answer, and refuse nobody.
SWITCH_SECONDS: Final = 0.0002


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
        DrainingServer(gateway, Connection, CHANGES.close).run([listener])

"""How long a request has waited in the kernel for the event loop, which no queue of ours shows.

A loop that is behind reads requests late, and does not know it. The kernel does: it keeps, for each connection, when it
last received data. Where it does not tell (any system but Linux), only the queue for the threads bounds the wait.
"""

import socket
import sys
from typing import Any, Final

_TCP_INFO: Final[int | None] = getattr(socket, "TCP_INFO", None)
_LAST_DATA_RECEIVED: Final = slice(52, 56)  # of struct tcp_info (linux/tcp.h): tcpi_last_data_recv, in milliseconds


def unread_seconds(connection: Any) -> float:
    """Return the seconds since the socket last received data; to be asked before anything else is read from it."""
    if _TCP_INFO is None:
        return 0.0
    info = connection.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, _LAST_DATA_RECEIVED.stop)
    return int.from_bytes(info[_LAST_DATA_RECEIVED], sys.byteorder) / 1_000

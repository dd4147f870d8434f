"""Ports: fixed by the user, or kept from the last start, or free ones.

New ports come from below the range that systems hand out for outgoing connections, so that a port kept for the next
start is not taken by chance meanwhile. Each process takes them from blocks of its own, which it holds by a UDP socket
on the block's first port: stacks that start at once get no port twice before either has bound it.
"""

from __future__ import annotations

import random
import socket
from functools import cache
from threading import Lock
from typing import TYPE_CHECKING

import psutil

from devstack.errors import DevstackError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

HOST = "127.0.0.1"
FIRST, LAST = 20_000, 32_000
BLOCK = 100
_ONE_AT_A_TIME = Lock()
VARIABLES = {
    "order.web": "WAYBILL_ORDER_PORT",
    "inventory.web": "WAYBILL_INVENTORY_PORT",
    "payment.web": "WAYBILL_PAYMENT_PORT",
    "notification.web": "WAYBILL_NOTIFICATION_PORT",
    "console.web": "WAYBILL_CONSOLE_PORT",
    "gateway": "WAYBILL_GATEWAY_PORT",
    "provider": "WAYBILL_PROVIDER_PORT",
    "registry": "WAYBILL_REGISTRY_PORT",
    "mailbox": "WAYBILL_MAILBOX_PORT",
    "kafka": "WAYBILL_KAFKA_PORT",
    "postgres": "WAYBILL_POSTGRES_PORT",
}


def choose(names: Iterable[str], kept: Mapping[str, int], environment: Mapping[str, str]) -> dict[str, int]:
    """Return a port for each name, free at this moment.

    Raises:
        DevstackError: a port that the user fixed is taken, or is none.

    """
    names = list(names)
    chosen: dict[str, int] = {}
    for name in names:
        if fixed := environment.get(VARIABLES.get(name, "")):
            port = parse(fixed, VARIABLES[name])
            if port in chosen.values():
                raise DevstackError(
                    f"{VARIABLES[name]}={port}: another part has this port already; choose a different one"
                )
            if reason := why_taken(port, is_udp=False):
                raise DevstackError(f"{VARIABLES[name]}={port}: {reason}; free it or choose another port")
            chosen[name] = port
    for name in names:
        if name not in chosen:
            is_udp = name.endswith(".hint")
            port = kept.get(name, 0)
            while not port >= FIRST or port in chosen.values() or why_taken(port, is_udp=is_udp):
                with _ONE_AT_A_TIME:
                    port = next(_ours())
            chosen[name] = port
    return chosen


@cache
def _ours() -> Iterator[int]:
    """Give one port after the other of blocks that this process holds. Raises DevstackError where none is left."""
    held: list[socket.socket] = []
    for first in random.sample(range(FIRST, LAST, BLOCK), (LAST - FIRST) // BLOCK):  # nosec B311
        block = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            block.bind((HOST, first))
        except OSError:
            block.close()
            continue
        held.append(block)
        yield from range(first + 1, first + BLOCK)
    raise DevstackError(f"all ports from {FIRST} to {LAST} are taken; stop what holds some")


def parse(text: str, variable: str) -> int:
    """Return the port that a variable names.

    Raises:
        DevstackError: it is no port.

    """
    if text.isascii() and text.isdigit() and 0 < int(text) < 1 << 16:
        return int(text)
    raise DevstackError(
        f"{variable}={text!r} is no port; give a number from 1 to 65535, or leave it out for a free one"
    )


def why_taken(port: int, *, is_udp: bool) -> str:
    """Say why nothing can be bound to the port; empty where it is free."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM if is_udp else socket.SOCK_STREAM) as probe:
        if not is_udp:
            # Connections of the last run that are still timing out do not make a port taken.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except PermissionError:
            return f"port {port} needs more rights"
        except OSError:
            return f"port {port} is taken{holder(port)}"
    return ""


def holder(port: int) -> str:
    """Name the process that listens on the port, as far as the system tells us."""
    try:
        for connection in psutil.net_connections(kind="tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port and connection.pid:
                return f" by process {connection.pid} ({psutil.Process(connection.pid).name()})"
    except psutil.Error:
        pass
    return ""

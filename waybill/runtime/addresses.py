"""Where a program listens or sends: IPv4, IPv6 and names, as `WAYBILL_HOST` and `host:port` settings tell them."""

import socket
from typing import Any


def resolve(host: str, port: int, kind: socket.SocketKind) -> tuple[socket.AddressFamily, Any]:
    """Return the family and the socket's address; a name that has both kinds means IPv4. Raises OSError."""
    found = socket.getaddrinfo(host, port, type=kind)
    family, _, _, _, address = min(found, key=lambda one: one[0] != socket.AF_INET)
    return family, address


def split(address: str) -> tuple[str, int]:
    """Return host and port of `host:port` or `[IPv6]:port`. Raises ValueError."""
    host, _, port = address.rpartition(":")
    bare = host.removeprefix("[").removesuffix("]")
    if not bare or (":" in bare) != (bare != host):
        raise ValueError(f"{address!r} is neither host:port nor [IPv6]:port")
    return bare, int(port)


def joined(host: str, port: int) -> str:
    """Return `host:port`, with an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

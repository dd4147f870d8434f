"""Is it ready? One question per kind of address, each answered within a second or two."""

from __future__ import annotations

import http.client
import socket
from urllib.parse import urlsplit

import psycopg

TIMEOUT_SECONDS = 2


def is_ready(url: str) -> bool:
    """Tell whether what the URL names answers as it should; http must say 200."""
    try:
        address = urlsplit(url)
        if address.scheme == "postgresql":
            psycopg.connect(url, connect_timeout=TIMEOUT_SECONDS).close()
            return True
        host, port = address.hostname or "", address.port or 0
        if address.scheme == "tcp":
            socket.create_connection((host, port), TIMEOUT_SECONDS).close()
            return True
        connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT_SECONDS)
        try:
            connection.request("GET", address.path)
            return connection.getresponse().status == http.client.OK
        finally:
            connection.close()
    except (OSError, http.client.HTTPException, psycopg.Error):
        return False

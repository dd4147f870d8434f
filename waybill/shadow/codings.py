"""Content codings: which are understood, how a body is decoded within a bound, and what the others are asked for."""

import zlib
from collections.abc import Sequence
from typing import Final

import structlog

log: structlog.stdlib.BoundLogger = structlog.get_logger()

Headers = Sequence[tuple[bytes, bytes]]

ANY: Final = 32  # added to zlib's window bits: whether the header is that of gzip or of zlib is seen from the bytes
UNDERSTOOD: Final = frozenset({b"gzip", b"x-gzip", b"deflate", b"identity"})
MOST_NAMED: Final = 20
_named: set[bytes] = set()


class NotDecoded(Exception):
    """The body is in a coding that is not understood, or not in the one that it is said to be in."""


class TooLarge(Exception):
    """The decoded body is larger than what is compared."""


def decoded(headers: Headers, body: bytes, most_bytes: int) -> bytes:
    """Return the body without its codings. Raises NotDecoded and TooLarge."""
    given = b",".join(value for name, value in headers if name.lower() == b"content-encoding").lower()
    for coding in reversed([one for one in (each.strip() for each in given.split(b",")) if one]):
        if not body:
            break
        if coding not in UNDERSTOOD:
            _tell(coding)
            raise NotDecoded
        if coding != b"identity":
            body = _inflated(body, most_bytes, raw=coding == b"deflate")
    return body


def _inflated(body: bytes, most_bytes: int, *, raw: bool) -> bytes:
    try:
        found = zlib.decompressobj(wbits=zlib.MAX_WBITS + ANY).decompress(body, most_bytes + 1)
    except zlib.error:
        if not raw:
            raise NotDecoded from None
        try:  # `deflate` is zlib's format, and some servers leave out its header
            found = zlib.decompressobj(wbits=-zlib.MAX_WBITS).decompress(body, most_bytes + 1)
        except zlib.error:
            raise NotDecoded from None
    if len(found) > most_bytes:
        raise TooLarge
    return found


def asked_for(headers: Headers) -> Headers:
    """Return the headers of a request with those codings alone that are understood, of the ones that it asks for."""
    return [
        (name, _understood(value)) if name.lower() == b"accept-encoding" else (name, value) for name, value in headers
    ]


def _understood(value: bytes) -> bytes:
    every = [one.strip() for one in value.split(b",")]
    return b", ".join(one for one in every if one.split(b";")[0].strip().lower() in UNDERSTOOD) or b"identity"


def _tell(coding: bytes) -> None:
    """Log the name of a coding once; a server that makes up ever new ones fills no log."""
    if coding not in _named and len(_named) < MOST_NAMED:
        _named.add(coding)
        log.warning("coding not understood", coding=coding.decode("latin1")[:100], understood="gzip, deflate")

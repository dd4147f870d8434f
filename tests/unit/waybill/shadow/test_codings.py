"""Bodies are compared without their codings: those that are understood, within a bound, and no others."""

import gzip
import zlib

import pytest
from structlog.testing import capture_logs

from waybill.shadow import codings
from waybill.shadow.codings import NotDecoded, TooLarge

BODY = b'{"name": "lamp"}' * 40
RAW = zlib.compressobj(wbits=-zlib.MAX_WBITS)
DEFLATED = RAW.compress(BODY) + RAW.flush()
PLAIN = {
    "none": ((), BODY),
    "identity": (("identity",), BODY),
    "gzip": (("GZIP",), gzip.compress(BODY)),
    "deflate": (("deflate",), zlib.compress(BODY)),
    "deflate without a header": (("deflate",), DEFLATED),
    "two, in one header": (("deflate, gzip",), gzip.compress(zlib.compress(BODY))),
    "two, in two headers": (("deflate", "gzip"), gzip.compress(zlib.compress(BODY))),
}


def headers(*given: str) -> list[tuple[bytes, bytes]]:
    return [(b"Content-Encoding", one.encode()) for one in given]


@pytest.mark.parametrize("kind", PLAIN)
def test_a_body_is_read_without_the_codings_that_are_understood(kind):
    given, body = PLAIN[kind]
    assert codings.decoded(headers(*given), body, len(BODY)) == BODY


@pytest.mark.parametrize("kind", [kind for kind in PLAIN if kind not in {"none", "identity"}])
def test_a_body_is_inflated_no_further_than_what_is_compared(kind):
    given, body = PLAIN[kind]
    with pytest.raises(TooLarge):
        codings.decoded(headers(*given), body, len(BODY) - 1)


def test_a_coding_that_is_not_understood_is_refused_and_named_once(monkeypatch):
    monkeypatch.setattr(codings, "_named", set())
    with capture_logs() as lines:
        for _ in range(2):
            with pytest.raises(NotDecoded):
                codings.decoded(headers("br"), b"x", 100)
    assert [line["coding"] for line in lines] == ["br"]


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_a_body_that_is_not_what_it_says_is_refused(coding):
    with pytest.raises(NotDecoded):
        codings.decoded(headers(coding), b"\xff plain text", 100)


def test_nothing_is_not_decoded():
    assert codings.decoded(headers("br"), b"", 100) == b""


@pytest.mark.parametrize(
    ("given", "asked"),
    [
        ("gzip, deflate, br, zstd", "gzip, deflate"),
        ("br;q=1.0, gzip;q=0.8, *;q=0.1", "gzip;q=0.8"),
        ("br", "identity"),
        ("*", "identity"),
    ],
)
def test_the_others_are_asked_for_what_is_understood_and_the_client_takes(given, asked):
    sent = [(b"Accept-Encoding", given.encode()), (b"Accept", b"*/*")]
    assert codings.asked_for(sent) == [(b"Accept-Encoding", asked.encode()), (b"Accept", b"*/*")]

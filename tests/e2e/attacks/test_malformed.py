"""Whatever is sent, the answer is a problem that says what is wrong, and is no larger than it must be."""

import gzip
import json
import time
from uuid import uuid4

import psycopg
import pytest

from devstack.harness.databases import ServiceDatabase
from tests.support.attacker import ORDER, Attacker
from tests.support.programs import Program
from tests.support.scrape import parse


def test_what_is_no_http_is_told_so(attacker: Attacker) -> None:
    attacker.say(b"\x16\x03\x01 no HTTP at all\r\n\r\n").assert_problem(400, "malformed_request")
    attacker.say(b"BREW /pot HTTP/1.1\r\n\r\n").assert_problem(400, "malformed_request")
    attacker.say(attacker.head(content_length="1, 2")).assert_problem(400, "malformed_request")
    both = attacker.head("POST", content_length="3", transfer_encoding="chunked")
    attacker.say(both + b"0\r\n\r\n").assert_problem(400, "malformed_request")
    twice = attacker.head("POST", transfer_encoding="chunked, chunked")
    attacker.say(twice + b"0\r\n\r\n").assert_problem(400, "malformed_request")


def test_a_head_that_is_too_large_is_told_so(attacker: Attacker) -> None:
    attacker.say(attacker.head(path="/v1/orders?" + "a" * 9_000)).assert_problem(414, "target_too_long")
    attacker.say(attacker.head(path="/" + "a" * 90_000)).assert_problem(414, "target_too_long")
    attacker.say(attacker.head(x="a" * 40_000)).assert_problem(431, "head_too_large")
    attacker.say(b"GET / HTTP/1.1\r\nX: " + b"a" * 500_000).assert_problem(431, "head_too_large")


def test_a_body_that_is_too_large_is_refused_before_it_is_sent(attacker: Attacker) -> None:
    refused = attacker.say(attacker.head("POST", content_length="2000000"))
    refused.assert_problem(413, "body_too_large")
    assert refused.headers["connection"] == "close"
    endless = attacker.head("POST", transfer_encoding="chunked") + b"ffff\r\n" + b"a" * 65_535 + b"\r\n"
    chunk = b"ffff\r\n" + b"a" * 65_535 + b"\r\n"
    attacker.say(endless, chunk * 20).assert_problem(413, "body_too_large")


def test_a_chunked_body_is_read(attacker: Attacker) -> None:
    body = json.dumps(ORDER).encode()
    head = attacker.head(
        "POST", idempotency_key=str(uuid4()), content_type="application/json", transfer_encoding="chunked"
    )
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:9], body[9:])) + b"0\r\n\r\n"
    assert attacker.say(head + chunks).status == 202


@pytest.mark.parametrize("coding", ["gzip", "gzip, chunked"])
def test_a_transfer_coding_that_is_not_read_is_refused_by_name(attacker: Attacker, coding: str) -> None:
    """A body taken as what it is not would be another one."""
    said = attacker.head(
        "POST", idempotency_key=str(uuid4()), content_type="application/json", transfer_encoding=coding
    )
    refused = attacker.say(said + b"0\r\n\r\n")
    refused.assert_problem(400, "malformed_request")
    assert repr(coding) in refused.json["detail"]


def test_a_compressed_body_is_refused_by_name(attacker: Attacker) -> None:
    body = gzip.compress(json.dumps(ORDER).encode())
    refused = attacker.say(attacker.post(body, content_encoding="gzip"))
    refused.assert_problem(415, "unsupported_media_type")
    assert refused.headers["accept-encoding"] == "identity"
    assert "'gzip'" in refused.json["detail"]
    assert attacker.say(attacker.post(json.dumps(ORDER).encode(), content_encoding="identity")).status == 202


def test_an_answer_is_no_larger_than_it_must_be(attacker: Attacker) -> None:
    """Before: 6.3 MB and 2 s of CPU for 930 kB."""
    bodies = [
        json.dumps({f"k{n}": 1 for n in range(66_000)}).encode(),
        b'{"lines": [' + b"1," * 300_000 + b"1]}",
        json.dumps({"k" * 900_000: 1}).encode(),
        json.dumps({**ORDER, "currency": "E" * 900_000}).encode(),
        json.dumps({**ORDER, "lines": [{"sku": "s" * 9_000, "quantity": 1}] * 100}).encode(),
    ]
    for body in bodies:
        began = time.monotonic()
        refused = attacker.say(attacker.post(body))
        refused.assert_problem(422, "not_valid")
        assert len(refused.json["errors"]) <= 20
        assert len(refused.body) < 10_000
        assert time.monotonic() - began < 2


def test_half_a_surrogate_does_not_come_back(attacker: Attacker) -> None:
    refused = attacker.say(attacker.post(rb'{"\ud800": 1, "lines": [{"sku": "\udfff", "quantity": 1}]}'))
    refused.assert_problem(422, "not_valid")
    assert b"\\ud800" not in refused.body
    assert b"\\udfff" not in refused.body


@pytest.mark.parametrize("body", [b"[" * 100_000, b"{" * 100_000, b"\xff\xfe", b'{"a": NaN}', b"", b"nul"])
def test_what_is_no_json_is_told_so(attacker: Attacker, body: bytes) -> None:
    assert attacker.say(attacker.post(body)).status in {400, 422}


def test_a_name_that_is_given_twice_is_refused(attacker: Attacker) -> None:
    twice = b'{"lines": [{"sku": "LAMP", "quantity": 1}], "payment_method": "tok_a", "payment_method": "tok_ok"}'
    refused = attacker.say(attacker.post(twice))
    refused.assert_problem(422, "not_valid")
    assert refused.json["errors"][0]["field"] == "payment_method"


def test_query_parameters_that_nobody_reads_are_named(attacker: Attacker) -> None:
    refused = attacker.say(attacker.head(path="/v1/orders?statuss=PENDING&limit=1"))
    refused.assert_problem(422, "not_valid")
    assert [one["field"] for one in refused.json["errors"]] == ["statuss"]
    many = "&".join(f"a{n}=1" for n in range(1_001))
    attacker.say(attacker.head(path=f"/v1/orders?{many}")).assert_problem(422, "not_valid")
    refused = attacker.say(attacker.post(json.dumps(ORDER).encode(), path="/v1/orders?dry_run=1"))
    refused.assert_problem(422, "not_valid")


def test_headers_with_an_underscore_do_not_count(attacker: Attacker) -> None:
    head = attacker.head().replace(b"\r\n\r\n", b"\r\nX_Request_ID: mine\r\n\r\n")
    assert attacker.say(head).headers["x-request-id"] != "mine"
    posted = attacker.post(json.dumps(ORDER).encode()).replace(b"Idempotency-Key", b"Idempotency_Key")
    attacker.say(posted).assert_problem(400, "idempotency_key_missing")


MALFORMED_TRACES = (
    "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
    "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
    "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
)


def test_a_malformed_trace_is_not_kept(attacker: Attacker, own_database: ServiceDatabase) -> None:
    body = json.dumps(ORDER).encode()
    good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    for trace in (*MALFORMED_TRACES, good):
        assert attacker.say(attacker.post(body, traceparent=trace)).status == 202
    with psycopg.connect(own_database.superuser_url) as session:
        kept = {row[0] for row in session.execute("SELECT metadata->>'traceparent' FROM waybill_outbox")}
    assert kept == {None, good}


def test_an_answer_that_is_kept_is_encrypted_in_the_database(attacker: Attacker, own_database: ServiceDatabase) -> None:
    request = attacker.post(json.dumps(ORDER).encode(), idempotency_key="kept")
    first, again = attacker.say(request), attacker.say(request)
    assert (first.status, first.body) == (again.status, again.body)
    assert again.headers["idempotent-replayed"] == "true"
    with psycopg.connect(own_database.superuser_url) as session:
        bodies = [row[0] for row in session.execute("SELECT body FROM waybill_idempotency_key WHERE key = 'kept'")]
    assert [body.startswith("gAAAA") for body in bodies] == [True]


def test_metrics_do_not_grow_by_what_strangers_send(attacker: Attacker, web: Program) -> None:
    """Before: 9.8 MB after 3,000 made-up methods."""
    attacker.say(attacker.head("PURGE", "/v1/orders"))
    before = parse(web.ask("/metrics")[1])
    for n in range(100):
        attacker.say(attacker.head(f"M{n}"))
        attacker.say(attacker.head("PURGE", f"/v1/orders/{n}"))
        attacker.say(attacker.head(path=f"/{n}"))
    after = parse(web.ask("/metrics")[1])
    assert len(after) - len(before) < 100  # a new status of a route that is known


OUTSIDE = (
    "/static/../../etc/passwd",
    "/static/%2e%2e/%2e%2e/setup.py",
    "/static//etc/passwd",
    "/static/a%00b",
    "/static/",
)


@pytest.mark.parametrize("path", OUTSIDE)
def test_no_file_but_the_documentations_is_given(attacker: Attacker, path: str) -> None:
    """Before: each wrote a traceback at ERROR into the log."""
    refused = attacker.say(attacker.head(path=path))
    refused.assert_problem(*((404, "not_found") if refused.status == 404 else (400, "malformed_request")))


def test_what_operators_ask_for_is_not_on_the_clients_port(attacker: Attacker) -> None:
    for path in ("/livez", "/readyz", "/metrics"):
        attacker.say(attacker.head(path=path)).assert_problem(404, "not_found")


def test_every_answer_says_to_browsers_what_it_is_and_no_answer_names_the_server(attacker: Attacker) -> None:
    said = {
        "a list": attacker.head(),
        "no token": attacker.head(authorization=""),
        "no such path": attacker.head(path="/static/nothing"),
        "no HTTP": b"nothing\r\n\r\n",
        "too large": attacker.head("POST", content_length="2000000"),
        "documentation": attacker.head(path="/v1/docs"),
    }
    for what, request in said.items():
        headers = attacker.say(request).headers
        assert headers["x-content-type-options"] == "nosniff", what
        assert headers["x-frame-options"] == "DENY", what
        assert headers["strict-transport-security"].startswith("max-age=31536000"), what
        assert "frame-ancestors 'none'" in headers["content-security-policy"], what
        assert "server" not in headers, what
        assert "x-powered-by" not in headers, what


def test_the_documentations_page_runs_its_own_scripts_and_no_others(attacker: Attacker) -> None:
    page = attacker.say(attacker.head(path="/v1/docs"))
    assert page.status == 200
    assert "script-src 'self'" in page.headers["content-security-policy"]
    assert b"<script>" not in page.body
    for source in (b"/static/ninja/swagger-ui-bundle.js", b"/static/ninja/swagger-ui-init.js"):
        assert source in page.body
        assert attacker.say(attacker.head(path=source.decode())).status == 200

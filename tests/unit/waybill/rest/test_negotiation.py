"""Methods, media types and encodings: answered alike for every path, before an endpoint is asked."""

import gzip
import json

import pytest
from django.test import Client

from tests.support.openapi import document_of
from waybill.rest.middleware.methods import accepts

ORDERS, ORDER = "/v1/orders", "/v1/orders/01a1fdef-cb60-72cc-9cdd-70bd5c187fc1"


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("PATCH", ORDERS, "GET, HEAD, OPTIONS, POST"),
        ("TRACE", ORDER, "GET, HEAD, OPTIONS"),
        ("GET", f"{ORDER}/cancel", "OPTIONS, POST"),
        ("HEAD", f"{ORDER}/cancel", "OPTIONS, POST"),
        ("BREW", ORDERS, "GET, HEAD, OPTIONS, POST"),
        ("POST", "/v1/openapi.json", "GET, HEAD, OPTIONS"),
        ("DELETE", "/v1/problems/not_valid", "GET, HEAD, OPTIONS"),
    ],
)
def test_a_method_that_a_path_does_not_take_is_a_405_that_lists_those_it_takes(client, method, path, allow):
    answer = client.generic(method, path)
    assert answer.status_code == 405
    assert answer.headers["Allow"] == allow
    assert answer.headers["Content-Type"] == "application/problem+json"
    if method != "HEAD":
        assert answer.json()["code"] == "method_not_allowed"


@pytest.mark.parametrize("path", ["/v1/collections/orders", "/v1/collections/orders/1"])
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_a_write_to_what_is_only_read_names_the_endpoints_that_take_the_commands(client, method, path):
    answer = client.generic(method, path, "{}", "application/json")
    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, HEAD, OPTIONS")
    assert answer.json()["detail"].endswith("What changes it: POST /v1/orders, POST /v1/orders/{order_id}/cancel")


def test_what_no_request_changes_is_said_to_follow_from_events():
    document_of("payment")
    assert Client().post("/v1/collections/payments").json()["detail"].endswith("no request changes it")


def test_options_lists_the_methods_of_a_path(client):
    answer = client.options(ORDERS)
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers["Allow"] == "GET, HEAD, OPTIONS, POST"
    assert client.options("/v1/nothing").status_code == 404


def test_head_has_the_headers_of_get(client):
    head, get = client.head("/v1/problems/not_valid"), client.get("/v1/problems/not_valid")
    assert head.status_code == get.status_code == 200
    own = {"X-Request-ID"}
    assert {k: v for k, v in head.headers.items() if k not in own} == {
        k: v for k, v in get.headers.items() if k not in own
    }


@pytest.mark.parametrize("accept", ["text/csv", "application/json;q=0", "image/*, text/html"])
def test_nothing_that_the_client_accepts_is_a_406(client, accept):
    answer = client.get(ORDERS, headers={"Accept": accept})
    assert (answer.status_code, answer.json()["code"]) == (406, "not_acceptable")


@pytest.mark.parametrize(
    ("accept", "taken"),
    [
        ("", True),
        ("*/*", True),
        ("application/*", True),
        ("text/html, application/json;q=0.1", True),
        ("*/*;q=0.5, application/json;q=0", False),
        ("application/xml", False),
        ("APPLICATION/JSON", True),
        ("application/json;q=nonsense", True),
    ],
)
def test_the_most_specific_range_of_accept_decides(accept, taken):
    assert accepts(accept, "application/json") is taken


@pytest.mark.parametrize("given", ["application/x-www-form-urlencoded", "text/plain; charset=utf-8", "json"])
def test_a_body_that_is_not_json_is_a_415(client, given):
    answer = client.generic("POST", ORDERS, b"a=1", content_type=given)
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")
    assert answer.headers["Accept"] == "application/json"


@pytest.mark.parametrize("given", ["application/json; charset=utf-8", "application/merge+json"])
def test_json_by_any_name_is_taken(client, given):
    assert client.generic("POST", ORDERS, b"{}", content_type=given).status_code == 401


def test_what_takes_no_body_minds_no_type_of_one(client):
    assert client.generic("POST", f"{ORDER}/cancel", b"", content_type="text/plain").status_code == 401


def test_a_long_answer_is_compressed_for_whom_takes_gzip(client):
    plain = client.get("/v1/openapi.json")
    packed = client.get("/v1/openapi.json", headers={"Accept-Encoding": "br, gzip"})
    assert packed.headers["Content-Encoding"] == "gzip"
    assert "Accept-Encoding" in packed.headers["Vary"]
    assert json.loads(gzip.decompress(packed.content)) == plain.json()
    assert int(packed.headers["Content-Length"]) == len(packed.content) < len(plain.content) / 4
    for refusing in ("gzip;q=0", "identity", "", "*"):
        assert "Content-Encoding" not in client.get("/v1/openapi.json", headers={"Accept-Encoding": refusing}).headers


def test_no_answer_is_kept_by_a_cache(client):
    for path in (ORDERS, "/v1/nothing", "/v1/openapi.json"):
        assert client.get(path).headers["Cache-Control"] == "no-store"

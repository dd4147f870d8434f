"""How answers differ, what of that is noise, and what of it is shown."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waybill.shadow.comparison import MOST_DIFFERENCES, Answer, Difference, differences, is_below
from waybill.shadow.findings import MOST_FIELDS, OTHERS, Findings, Unreadable
from waybill.shadow.json_paths import parse
from waybill.shadow.masking import masked
from waybill.shadow.routes import Routes, is_chosen

DOCUMENT = {
    "id": 7,
    "name": "a",
    "items": [{"size": 1, "tags": ["x"]}, {"size": 2, "tags": []}],
    "links": {"self": "/7"},
}


def answer(body: Any, status: int = 200, **headers: str) -> Answer:
    return Answer(status, headers, body if isinstance(body, bytes) else json.dumps(body).encode())


def found(control: Any, candidate: Any, *ignored: str) -> dict[str, str]:
    """Place → kind of what differs between two bodies."""
    patterns = [parse(one) for one in ignored]
    return {one.field: one.kind for one in differences(answer(control), answer(candidate), patterns)}


DIFFERING = {
    "another value": ({"a": {"b": 1}}, {"a": {"b": 2}}, {"$.a.b": "value"}),
    "another type": ({"a": 1}, {"a": "1"}, {"$.a": "type"}),
    "true is not 1": ({"a": True}, {"a": 1}, {"$.a": "type"}),
    "null is not missing": ({"a": None}, {}, {"$.a": "missing"}),
    "one more field": ({}, {"a": 1}, {"$.a": "extra"}),
    "elements are one place": ([{"a": 1}, {"a": 2}], [{"a": 3}, {"a": 4}], {"$[*].a": "value"}),
    "fewer elements": ({"a": [1, 2]}, {"a": [1]}, {"$.a": "length"}),
    "another sequence of elements": ({"a": [1, 2]}, {"a": [2, 1]}, {"$.a[*]": "value"}),
    "the whole": ([], {}, {"$": "type"}),
    "decimals are not rounded": (b"[0.1000000000000000055]", b"[0.1]", {"$[*]": "value"}),
    "a field that is an id": ({"0198-7fff": 1}, {"0198-7fff": 2}, {"$.*": "value"}),
    "a field that is an address": ({"ann@mail.test": 1}, {}, {"$.*": "missing"}),
    "no JSON": ({"a": 1}, b"<html>", {"body": "type"}),
    "both no JSON": (b"<a>", b"<b>", {"body": "value"}),
    "deeper than a parser goes": (b"[" * 100_000, b"[]", {"body": "type"}),
    "a number longer than is converted": (b"9" * 10_000, b"1", {"body": "type"}),
}
EQUAL = {
    "another sequence of fields": (b'{"a": 1, "b": 2}', b'{"b":2,"a":1}'),
    "numbers by value": (b"[1, 1.50]", b"[1.0, 15e-1]"),
    "other escapes": (b'"\\u00e9"', '"é"'.encode()),
}


@pytest.mark.parametrize("case", DIFFERING)
def test_a_difference_is_named_by_place_and_kind(case):
    control, candidate, expected = DIFFERING[case]
    assert found(control, candidate) == expected


@pytest.mark.parametrize("case", EQUAL)
def test_what_json_calls_equal_is(case):
    assert found(*EQUAL[case]) == {}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=10,
)


@given(JSON, JSON)
def test_answers_differ_in_no_place_only_if_they_are_equal(one, other):
    assert found(one, one) == {}
    assert bool(found(one, other)) == bool(found(other, one))
    if type(one) is not bool and type(other) is not bool and not found(one, other):
        assert one == other


def test_status_and_chosen_headers_are_compared():
    one, other = answer(b"", 200, location="/a", etag="1"), answer(b"", 404, location="/b", vary="x")
    assert [(d.field, d.kind) for d in differences(one, other, ())] == [
        ("status", "value"),
        ("header etag", "missing"),
        ("header location", "value"),
        ("header vary", "extra"),
    ]


def test_no_answer_is_a_difference():
    (one,) = differences(answer(b""), "timed_out", ())
    assert (one.field, one.candidate) == ("answer", "timed_out")


def test_who_differs_in_everything_costs_no_more_than_the_bound():
    many = {f"f{letter}{other}": 1 for letter in "abcdefghijkl" for other in "abcdefghijkl"}
    assert len(found(many, {})) == MOST_DIFFERENCES


@pytest.mark.parametrize(
    "pattern",
    [
        "$.items[*].size",
        "$.items",
        "$..size",
        "$.*",
        "$['items'][*]['size']",
        '$["items"]',
        "$.items[*].*",
        "$.items[*]",
    ],
)
def test_what_is_ignored_is_not_compared(pattern):
    other = {**DOCUMENT, "items": [{"size": 9, "tags": ["x"]}, {"size": 2, "tags": []}]}
    assert found(DOCUMENT, other, "$.id") == {"$.items[*].size": "value"}
    assert found(DOCUMENT, other, pattern) == {}


@pytest.mark.parametrize("pattern", ["", "$", "items", "$.", "$.a[0]", "$.a[?(@.b)]", "$.a b", "$..", "$x"])
def test_a_path_that_is_not_understood_is_refused_by_name(pattern):
    with pytest.raises(ValueError, match="no JSON path"):
        parse(pattern)


def test_below_a_noisy_place_is_noise_and_beside_it_is_not():
    noise = {"$.items", "$.at"}
    assert all(is_below(place, noise) for place in ("$.items", "$.items[*].size", "$.at.day"))
    assert not any(is_below(place, noise) for place in ("$.items_count", "$.id", "status"))
    assert is_below("$.id", {"status"})  # the controls do not even agree on that


def differs(*fields: str) -> list[Difference]:
    return [Difference(field, "value", 1, 2) for field in fields]


def test_noise_is_what_the_second_control_shows_as_often():
    """A clock that jumps between two of ten requests differs in some between the controls, and in others not."""
    findings = Findings(["/a"], 5)
    for number in range(200):
        findings.judge("/a", differs("$.at") if number % 10 == 0 else [], differs("$.at") if number % 10 == 1 else [])
    assert findings.judge("/a", differs("$.at"), []) == []
    assert findings.judge("/a", differs("$.at", "$.size"), []) == differs("$.size")


def test_a_place_that_is_noisy_now_and_then_and_differs_always_is_a_mismatch():
    findings = Findings(["/a"], 5)
    for number in range(100):
        findings.judge("/a", differs("$.at"), differs("$.at") if number % 2 else [])
    assert findings.judge("/a", differs("$.at"), []) == differs("$.at")


def test_places_and_samples_of_a_route_are_bounded():
    findings = Findings(["/a"], 3)
    for number in range(MOST_FIELDS + 50):
        findings.judge("/a", differs(f"$.f{number}"), [])
        findings.keep("/a", {"number": number})
    (route,) = findings.as_json()["routes"]
    assert len(route["fields"]) == MOST_FIELDS + 1
    assert route["fields"][0]["field"] == OTHERS
    assert [one["number"] for one in route["samples"]] == [MOST_FIELDS + 47, MOST_FIELDS + 48, MOST_FIELDS + 49]


def test_findings_are_the_same_after_a_restart(tmp_path: Path):
    file = tmp_path / "findings.json"
    before = Findings(["/a", "/gone"], 5)
    before.judge("/a", differs("$.size"), differs("$.at"))
    before.judge("/a", [], [])
    before.count("/a", "dropped")
    before.keep("/a", {"request_id": "1"})
    before.write(file)
    after = Findings(["/a", "/new"], 5)
    after.restore(file)
    was, now = before.as_json(), after.as_json()
    assert (now["since"], now["routes"][0]) == (was["since"], was["routes"][0])
    assert now["routes"][0]["compared"] == 2
    assert [one["route"] for one in now["routes"]] == ["/a", "/new"]


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"format": 1}', '{"format": 1, "since": 7, "routes": []}'])
def test_a_file_of_something_else_is_named(text, tmp_path: Path):
    file = tmp_path / "findings.json"
    file.write_text(text)
    with pytest.raises(Unreadable, match=r"findings\.json is no file of findings"):
        Findings(["/a"], 5).restore(file)


def test_only_safe_methods_of_the_named_routes_are_compared():
    routes = Routes(["/v1/rooms", "/v1/rooms/{id}", "/v1/rooms/{id}/doors"])
    assert routes.of("GET", "/v1/rooms/7") == "/v1/rooms/{id}"
    assert routes.of("HEAD", "/v1/rooms/7/doors") == "/v1/rooms/{id}/doors"
    assert [routes.of("GET", path) for path in ("/v1/rooms/", "/v1/rooms/7/windows", "/v1", "/v1/roomsx")] == [None] * 4
    assert [routes.of(method, "/v1/rooms") for method in ("POST", "PUT", "PATCH", "DELETE", "OPTIONS", "get")] == [
        None
    ] * 6


@pytest.mark.parametrize("template", ["v1", "/v1?q", "/v1/{a b}", "/{", "/v1/x{id}"])
def test_a_template_that_is_none_is_refused(template):
    with pytest.raises(ValueError, match="no path template"):
        Routes([template])


def test_the_share_is_held_and_the_same_id_is_always_chosen_alike():
    ids = [f"request-{number}" for number in range(10_000)]
    chosen = [one for one in ids if is_chosen(one, 0.1)]
    assert 900 < len(chosen) < 1_100
    assert all(is_chosen(one, 0.2) for one in chosen)
    assert not any(is_chosen(one, 0) for one in ids)
    assert all(is_chosen(one, 1) for one in ids)


def shown(value: Any, *names: str, personal: frozenset[str] | None = frozenset()) -> Any:
    return masked(Difference("$.x", "value", value, None, frozenset(names)), personal)["control"]


def test_samples_show_nothing_of_a_person():
    assert shown("open") == "open"
    assert shown("Ann", "guest", personal=frozenset({"guest"})) == "••• (text of 3)"
    assert shown(1985, "guest", "born", personal=frozenset({"guest"})) == "••• (number)"
    assert shown("open", personal=None) == "••• (text of 4)"
    assert shown(7, personal=None) == 7
    assert shown("s3cret", "password") == "••• (text of 6)"
    for text in (
        "ann@mail.test",
        "+49 170 1234567",
        "4111 1111 1111 1111",
        "DE89 3704 0044 0532 0130 00",
        "eyJh.eyJz.x",
    ):
        assert shown(text) == f"••• (text of {len(text)})"
    assert shown({"name": "Ann"}) == "object of 1"
    assert shown(["Ann"]) == "array of 1"
    assert len(shown("x" * 1_000)) == 101

"""The collection contract, on any service (docs/reference/collection-contract.md).

Each collection is described by a file: the library's on a Django service, once on SQLite and once on PostgreSQL, which
makes versions by itself; a review's on one written in Go; or, with WAYBILL_COLLECTIONS_URL, WAYBILL_COLLECTIONS_TOKEN
and WAYBILL_COLLECTION, anybody's.
"""

import json
import os
import uuid
from pathlib import Path

import httpx2
import pytest

from tests.support import collection_server, library, reviews
from tests.support.collections import Described, Items
from tests.support.postgres import postgres_server

LIBRARY = Path(library.__file__).parent
GIVEN = os.environ.get("WAYBILL_COLLECTION")
REVIEWS = reviews.EXAMPLE / "collection.toml"
OURS = [
    (LIBRARY / "author.toml", "library_url"),
    (LIBRARY / "book.toml", "library_url"),
    (LIBRARY / "book.toml", "postgresql_url"),
    (REVIEWS, "reviews_service"),
]
DESCRIPTIONS = [(Path(GIVEN), "library_url")] if GIVEN else OURS
pytestmark = pytest.mark.timeout(900)  # a cold download and build are within it


@pytest.fixture(scope="module")
def library_url(tmp_path_factory):
    with collection_server.library(tmp_path_factory.mktemp("library")) as started:
        yield started


@pytest.fixture(scope="module")
def postgresql_url(tmp_path_factory):
    with postgres_server() as server:
        databases = {"default": collection_server.postgresql(server)}
        file = tmp_path_factory.mktemp("postgresql") / "none"
        with collection_server.running(file, *collection_server.LIBRARY, databases=databases) as started:
            yield started


@pytest.fixture(scope="module", params=DESCRIPTIONS, ids=lambda one: f"{one[0].stem}-{one[1]}")
def described(request):
    return request.param


@pytest.fixture(scope="module")
def told(described):
    return Described.read(described[0])


@pytest.fixture(scope="module")
def client(described, request):
    found = request.getfixturevalue(described[1])
    if described[1] == "reviews_service":
        url, token = found.url, reviews.TOKEN
    else:
        url, token = found, os.environ.get("WAYBILL_COLLECTIONS_TOKEN")
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    with httpx2.Client(base_url=url, timeout=10, headers=headers) as opened:
        yield opened


@pytest.fixture(scope="module")
def needed(client, told):
    """The keys of the items that those of this collection refer to."""
    made = {
        name: client.post(f"/{need['collection']}", json=need["new"]).raise_for_status().json()
        for name, need in told.needs.items()
    }
    return {name: item[told.needs[name].get("key", "id")] for name, item in made.items()}


@pytest.fixture
def items(client, told, needed):
    return Items(client, told, needed, uuid.uuid4().hex[:8])


@pytest.fixture
def five(items):
    """Five items, of which two are equal in the nullable field and one has none."""
    return items.made(*(items.ranked(text, rank) for text, rank in zip("abcde", (1, 2, 2, None, 3), strict=True)))


def refused(answer, status, field=None):
    assert (answer.status_code, answer.headers["Content-Type"]) == (status, "application/problem+json"), answer.text
    problem = answer.json()
    assert problem["status"] == status
    assert field is None or [error["field"] for error in problem["errors"]] == [field]
    return problem["code"]


def test_an_item_is_created_read_changed_and_deleted(client, items, told):
    made = items.post(items.ranked("a", None))
    assert made.status_code == 201
    where = made.headers["Location"].rpartition("/v1")[2]
    assert client.get(where).json() == made.json()
    changed = client.patch(where, json={told.nullable: told.rising[0]})
    assert changed.status_code == 200
    assert (changed.json()[told.nullable], items.texts_of([changed.json()])) == (told.rising[0], ["a"])
    whole = {name: value for name, value in made.json().items() if name != "_version"}
    replaced = client.put(where, json=whole)
    assert (replaced.status_code, replaced.json()[told.nullable]) == (200, None)
    assert client.delete(where).status_code == 204
    assert refused(client.get(where), 404) == "not_found"
    assert refused(client.patch(where, json={told.text: "x"}), 404) == "not_found"


@pytest.mark.usefixtures("five")
def test_order_ends_with_the_key_and_null_comes_last(items, told):
    text, nullable = told.text, told.nullable
    assert items.texts(sort=f"{nullable},{text}") == ["a", "b", "c", "e", "d"]
    assert items.texts(sort=f"-{nullable},-{text}") == ["d", "e", "c", "b", "a"]
    by_key = {item[told.text]: item[told.key] for item in items.get(sort=nullable).json()["items"]}
    second, third = (by_key[f"{items.mark}{letter}"] for letter in "bc")
    assert items.texts(sort=nullable)[1:3] == (["b", "c"] if second < third else ["c", "b"])


@pytest.mark.usefixtures("five")
def test_offset_and_limit_cut_and_count_does_not(items, told):
    assert items.texts(sort=told.text, offset=1, limit=2) == ["b", "c"]
    answer = items.get(limit=0, count="true").json()
    assert (answer["items"], answer["count"]) == ([], 5)


@pytest.mark.usefixtures("five")
@pytest.mark.parametrize("sort", ["{nullable}", "-{nullable}", "{text}", "-{nullable},-{text}", ""])
def test_pages_hold_each_row_once_though_rows_come_in_between(client, items, told, sort):
    seen, link = [], items.path
    ordered = sort.format(nullable=told.nullable, text=told.text)
    parameters = {f"{told.text}__startswith": items.mark, "sort": ordered, "limit": "2"}
    while link:
        answer = client.get(link, params=parameters).raise_for_status().json()
        seen += items.texts_of(answer["items"])
        link, parameters = (answer["next"] or "").rpartition("/v1")[2], None
        items.made(items.ranked(f" {len(seen)}", 0))
    assert sorted(text for text in seen if not text.startswith(" ")) == list("abcde")


@pytest.mark.usefixtures("five")
@pytest.mark.parametrize(
    ("tree", "found"),
    [
        (["isnull", True], "d"),
        ({"not": ["gt", 1]}, "ad"),
        ({"not": {"not": ["gt", 1]}}, "bce"),
        ({"not": ["in", [1]]}, "bcde"),
        ({"not": ["exact", 2]}, "ade"),
        ({"not": {"any": [["exact", 2], ["lt", 2]]}}, "de"),
        ({"any": []}, ""),
        ({"all": []}, "abcde"),
        ({"not": {"any": []}}, "abcde"),
        ({"any": [["range", [1, 2]], {"all": [["isnull", True], {"any": [{"all": []}]}]}]}, "abcd"),
    ],
)
def test_a_tree_of_conditions_has_two_valued_logic(items, told, tree, found):
    def of_field(node):
        match node:
            case [lookup, value]:
                values = value if lookup == "isnull" else _ranks(told, value)
                return {"field": told.nullable, "lookup": lookup, "value": values}
            case {"not": part}:
                return {"not": of_field(part)}
            case _:
                return {name: [of_field(part) for part in parts] for name, parts in node.items()}

    assert items.texts(sort=told.text, filter=json.dumps(of_field(tree))) == list(found)


def _ranks(told, value):
    return [told.rising[rank] for rank in value] if isinstance(value, list) else told.rising[value]


@pytest.mark.usefixtures("five")
@pytest.mark.parametrize(
    ("lookup", "value", "found"),
    [
        ("exact", 2, "bc"),
        ("in", [1, 3], "ae"),
        ("lt", 2, "a"),
        ("lte", 2, "abc"),
        ("gt", 2, "e"),
        ("gte", 2, "bce"),
        ("range", [1, 2], "abc"),
        ("isnull", "true", "d"),
        ("isnull", "false", "abce"),
    ],
)
def test_a_value_is_compared_by_each_lookup(items, told, lookup, value, found):
    values = value if lookup == "isnull" else _ranks(told, value)
    given = ",".join(map(str, values)) if isinstance(values, list) else values
    assert items.texts(sort=told.text, **{f"{told.nullable}__{lookup}": given}) == list(found)


def test_a_text_is_compared_by_each_lookup(items, told):
    items.made(items.body(" Sea"), items.body(" Seb"))
    mark = items.mark.upper()
    for lookup, value in (
        ("exact", f"{items.mark} Sea"),
        ("iexact", f"{mark} sEA"),
        ("contains", " Sea"),
        ("icontains", " sEA"),
        ("startswith", f"{items.mark} Sea"),
        ("istartswith", f"{mark} SEA"),
        ("lt", f"{items.mark} Seb"),
    ):
        tree = {"field": told.text, "lookup": lookup, "value": value}
        assert items.texts(filter=json.dumps(tree)) == [" Sea"], lookup


def test_a_text_is_taken_as_it_is(items, told):
    items.made(*map(items.body, ("100%", "a_b", "c\\d", "Ünï")))
    for part, whole in (("0%", "100%"), ("a_", "a_b"), ("\\d", "c\\d"), ("nï", "Ünï")):
        assert items.texts(**{f"{told.text}__contains": part}) == [whole]


def test_fields_are_those_asked_for_with_key_and_version(items, five, told):
    answer = items.get(**{f"{told.key}__in": five[0][told.key], "fields": told.text}).json()
    assert [item.keys() for item in answer["items"]] == [{told.key, told.text, "_version"}]


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ({"shoe_size": "38"}, "shoe_size"),
        ({"{text}__regex": "x"}, "{text}__regex"),
        ({"{text}__in": ",".join(map(str, range(201)))}, "{text}__in"),
        ({"{nullable}": "yesterday"}, "{nullable}"),
        ({"{nullable}__isnull": "maybe"}, "{nullable}__isnull"),
        ({"sort": "shoe_size"}, "sort"),
        ({"fields": "shoe_size"}, "fields"),
        ({"limit": "1001"}, "limit"),
        ({"limit": "-1"}, "limit"),
        ({"count": "yes"}, "count"),
        ({"cursor": "x"}, "cursor"),
        ({"cursor": "x", "offset": "1"}, "cursor"),
        ({"{nullable}": "yesterday", "filter": '{"any": []}'}, "{nullable}"),
        ({"filter": "{"}, "filter"),
        ({"filter": '{"all": [{"some": []}]}'}, "filter.all[0]"),
        ({"filter": '{"field": "shoe_size", "lookup": "exact", "value": 1}'}, "shoe_size"),
        ({"filter": '{"not": ' * 9 + '{"all": []}' + "}" * 9}, "filter"),
        ({"filter": json.dumps({"any": [{"field": "{key}", "lookup": "isnull", "value": True}] * 101})}, "filter"),
    ],
)
def test_a_parameter_that_cannot_be_answered_is_named(client, items, told, parameters, field):
    def named(text):
        for name in ("text", "nullable", "key"):
            text = text.replace(f"{{{name}}}", getattr(told, name))
        return text

    asked = {named(name): named(value) for name, value in parameters.items()}
    assert refused(client.get(items.path, params=asked), 422, named(field)) == "not_valid"


def test_what_is_written_is_validated_by_field(client, items, told):
    assert refused(items.post(items.body("", shoe_size=38)), 422, "shoe_size")
    assert refused(items.post(items.body("", **{told.nullable: "yesterday"})), 422, told.nullable)
    assert refused(items.post(items.body("", **{told.text: None})), 422, told.text)
    for field, value in told.invalid.items():
        assert refused(items.post(items.body("", **{field: value})), 422, field)
    second = items.post({"items": [items.body(""), items.body("x" * told.longest)]})
    assert refused(second, 422, f"items[1].{told.text}")
    assert items.texts() == []
    assert refused(client.post(items.path, content=b"[1]"), 400) == "malformed_json"


def test_a_unique_value_that_is_taken_is_a_conflict(client, items, told):
    if told.unique is None:
        pytest.skip("no field of it is unique")
    first, second = items.made(items.body("a"), items.body("b"))
    taken = {told.unique: first[told.unique]}
    for answer in (items.post(items.body("c", **taken)), client.patch(f"{items.path}/{second[told.key]}", json=taken)):
        assert refused(answer, 409, *([told.unique] if "errors" in answer.json() else [])) == "already_exists"


def test_a_put_gives_every_field(client, items, five, told):
    where = f"{items.path}/{five[0][told.key]}"
    without = {name: value for name, value in five[0].items() if name not in ("_version", told.text)}
    assert refused(client.put(where, json=without), 422, told.text)


def test_values_come_back_as_they_were_sent(items, told):
    sample = {name: value for name, value in told.sample.items() if name != told.text}
    made = items.post(items.body("", **sample)).raise_for_status().json()
    assert {name: made[name] for name in sample} == sample
    for name, value in told.written_otherwise.items():
        assert [item[told.key] for item in items.get(**{name: value}).json()["items"]] == [made[told.key]], name


def test_a_change_of_another_version_is_refused(client, items, five, told):
    where = f"{items.path}/{five[0][told.key]}"
    tag = client.get(where).headers["ETag"]
    assert tag == f'"{five[0]["_version"]}"'
    assert client.get(where, headers={"If-None-Match": f'"x", W/{tag}'}).status_code == 304
    weak = client.patch(where, json={told.text: "x"}, headers={"If-Match": f"W/{tag}"})
    assert refused(weak, 412) == "precondition_failed"
    changed = client.patch(where, json={told.nullable: None}, headers={"If-Match": tag})
    assert changed.headers["ETag"] != tag
    assert client.patch(where, json={}, headers={"If-Match": "*"}).status_code == 200
    again = client.patch(where, json={told.text: "x"}, headers={"If-Match": tag})
    assert refused(again, 412) == "precondition_failed"
    assert refused(client.delete(where, headers={"If-Match": tag}), 412) == "precondition_failed"


def test_a_request_with_the_token_of_a_write_finds_what_was_written(client, items, told):
    made = items.post(items.body("a"))
    for token in (made.headers.get("Consistency-Token", ""), "of another service"):
        headers = {"Consistency-Token": token, "Prefer": "wait=5"}
        found = client.get(items.path, params={f"{told.text}__startswith": items.mark}, headers=headers)
        assert (token, items.texts_of(found.json()["items"])) == (token, ["a"])


def test_a_key_makes_one_item_of_two_requests(items):
    key, body = {"Idempotency-Key": items.mark}, {**items.told.sample, **items.body("a")}
    first, second = (items.post(body, **key) for _ in range(2))
    assert (first.status_code, second.status_code) == (201, 201)
    assert (second.json(), second.headers["Idempotent-Replayed"]) == (first.json(), "true")
    for header in ("ETag", "Location"):
        assert second.headers[header] == first.headers[header]
    assert refused(items.post(items.body("b"), **key), 422) == "idempotency_key_reused"
    assert items.get(count="true").json()["count"] == 1


def test_several_items_are_deleted_by_their_keys_and_by_nothing_else(client, items, five, told):
    by_key = f"{told.key}__in"
    keys = ",".join(str(item[told.key]) for item in five[:2])
    assert client.delete(items.path, params={by_key: keys}).json() == {"deleted": 2}
    assert client.delete(items.path, params={by_key: keys}).json() == {"deleted": 0}
    assert refused(client.delete(items.path), 422, by_key)
    assert refused(client.delete(items.path, params={f"{told.text}__startswith": ""}), 422, by_key)
    assert items.texts(sort=told.text) == ["c", "d", "e"]


def test_a_method_that_is_not_there_is_named(client, items):
    answer = client.patch(items.path, json={})
    assert refused(answer, 405) == "method_not_allowed"
    assert answer.headers["Allow"] == "GET, POST, DELETE"


@pytest.mark.skipif(GIVEN is not None, reason="another service has no library")
def test_what_constraints_and_rights_forbid_is_refused(library_url):
    name = uuid.uuid4().hex[:8]
    with httpx2.Client(base_url=library_url, timeout=10) as client:
        tag = client.post("/library_tag", json={"name": name}).raise_for_status().json()
        author = client.post("/library_author", json={"name": name}).json()
        book = client.post("/library_book", json={"title": name, "author_id": author["id"]}).json()
        client.post("/library_copy", json={"id": str(uuid.uuid4()), "book_id": book["id"]}).raise_for_status()
        assert refused(client.delete(f"/library_book/{book['id']}"), 409) == "conflict"
        where = f"/guarded_tag/{tag['id']}"
        assert refused(client.delete(where), 403) == "forbidden"
        assert client.delete(where, headers={"Authorization": "Bearer librarian"}).status_code == 204

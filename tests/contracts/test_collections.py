"""The collection contract, on any service that has the library's collections (docs/reference)."""

import json
import uuid

import httpx2
import pytest

from tests.support import collection_server


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    with collection_server.library(tmp_path_factory.mktemp("library")) as started:
        yield started


@pytest.fixture
def client(url):
    with httpx2.Client(base_url=url, timeout=10) as opened:
        yield opened


@pytest.fixture
def mark():
    """A text that only this test's rows have."""
    return uuid.uuid4().hex[:8]


@pytest.fixture
def authors(client, mark):
    """Five authors, of whom two were born at the same time and one nobody knows when."""
    born = ("1815-12-10", "1906-12-09", "1906-12-09", None, "1912-06-23")
    items = [{"name": f"{mark} {letter}", "born": day} for letter, day in zip("abcde", born, strict=True)]
    return client.post("/library_author", json={"items": items}).raise_for_status().json()["items"]


def names(client, mark, **parameters):
    answer = client.get("/library_author", params={"name__startswith": mark, **parameters})
    assert answer.status_code == 200, answer.text
    return [item["name"].removeprefix(f"{mark} ") for item in answer.json()["items"]]


def refused(answer, status, field=None):
    assert (answer.status_code, answer.headers["Content-Type"]) == (status, "application/problem+json"), answer.text
    problem = answer.json()
    assert problem["status"] == status
    assert field is None or [error["field"] for error in problem["errors"]] == [field]
    return problem["code"]


def test_an_item_is_created_read_changed_and_deleted(client, mark):
    made = client.post("/library_author", json={"name": mark})
    assert made.status_code == 201
    where = made.headers["Location"].rpartition("/v1")[2]
    assert client.get(where).json() == made.json()
    changed = client.patch(where, json={"born": "2000-01-01"})
    assert (changed.status_code, changed.json()["born"], changed.json()["name"]) == (200, "2000-01-01", mark)
    replaced = client.put(where, json={"name": mark, "born": None})
    assert replaced.json()["born"] is None
    assert client.delete(where).status_code == 204
    assert refused(client.get(where), 404) == "not_found"
    assert refused(client.patch(where, json={"name": "x"}), 404) == "not_found"


@pytest.mark.usefixtures("authors")
def test_order_ends_with_the_key_and_null_comes_last(client, mark):
    assert names(client, mark, sort="born") == ["a", "b", "c", "e", "d"]
    assert names(client, mark, sort="-born") == ["d", "e", "b", "c", "a"]
    assert names(client, mark, sort="-born,-name") == ["d", "e", "c", "b", "a"]


@pytest.mark.usefixtures("authors")
def test_offset_and_limit_cut_and_count_does_not(client, mark):
    assert names(client, mark, sort="name", offset=1, limit=2) == ["b", "c"]
    parameters = {"name__startswith": mark, "limit": 0, "count": "true"}
    answer = client.get("/library_author", params=parameters).json()
    assert (answer["items"], answer["count"]) == ([], 5)


@pytest.mark.usefixtures("authors")
@pytest.mark.parametrize("sort", ["born", "-born", "name", "-born,-name", ""])
def test_pages_hold_each_row_once_though_rows_come_in_between(client, mark, sort):
    seen, link = [], "/library_author"
    parameters = {"name__startswith": mark, "sort": sort, "limit": "2"}
    while link:
        answer = client.get(link, params=parameters).raise_for_status().json()
        seen += [item["name"] for item in answer["items"]]
        link, parameters = (answer["next"] or "").rpartition("/v1")[2], None
        client.post("/library_author", json={"name": f"{mark} 0", "born": "1700-01-01"})
    old = [name for name in seen if not name.endswith(" 0")]
    assert sorted(old) == [f"{mark} {letter}" for letter in "abcde"]


@pytest.mark.usefixtures("authors")
@pytest.mark.parametrize(
    ("tree", "found"),
    [
        ({"field": "born", "lookup": "isnull", "value": True}, "d"),
        ({"not": {"field": "born", "lookup": "gt", "value": "1900-01-01"}}, "ad"),
        ({"not": {"not": {"field": "born", "lookup": "gt", "value": "1900-01-01"}}}, "bce"),
        ({"not": {"field": "born", "lookup": "in", "value": ["1815-12-10"]}}, "bcde"),
        ({"any": []}, ""),
        ({"all": []}, "abcde"),
        (
            {
                "any": [
                    {"field": "born", "lookup": "range", "value": ["1815-12-10", "1906-12-09"]},
                    {"all": [{"field": "born", "lookup": "isnull", "value": True}, {"any": [{"all": []}]}]},
                ]
            },
            "abcd",
        ),
    ],
)
def test_a_tree_of_conditions_has_two_valued_logic(client, mark, tree, found):
    assert names(client, mark, sort="name", filter=json.dumps(tree)) == list(found)


def test_a_text_is_taken_as_it_is(client, mark):
    for odd in ("100%", "a_b", "c\\d", "Ünï"):
        client.post("/library_author", json={"name": f"{mark}{odd}"}).raise_for_status()
    for part, whole in (("0%", "100%"), ("a_", "a_b"), ("\\d", "c\\d"), ("nï", "Ünï")):
        answer = client.get("/library_author", params={"name__startswith": mark, "name__contains": part}).json()
        assert [item["name"] for item in answer["items"]] == [f"{mark}{whole}"]


def test_fields_are_those_asked_for_with_key_and_version(client, authors):
    answer = client.get("/library_author", params={"id__in": authors[0]["id"], "fields": "name"}).json()
    assert answer["items"][0].keys() == {"id", "name", "_version"}


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ({"shoe_size": "38"}, "shoe_size"),
        ({"name__regex": "x"}, "name__regex"),
        ({"name__in": ",".join(map(str, range(201)))}, "name__in"),
        ({"born": "yesterday"}, "born"),
        ({"born__isnull": "maybe"}, "born__isnull"),
        ({"sort": "shoe_size"}, "sort"),
        ({"fields": "shoe_size"}, "fields"),
        ({"limit": "1001"}, "limit"),
        ({"limit": "-1"}, "limit"),
        ({"cursor": "x"}, "cursor"),
        ({"filter": "{"}, "filter"),
        ({"filter": '{"all": [{"some": []}]}'}, "filter.all[0]"),
        ({"filter": '{"field": "shoe_size", "lookup": "exact", "value": 1}'}, "shoe_size"),
        ({"filter": '{"not": ' * 9 + '{"all": []}' + "}" * 9}, "filter"),
        ({"filter": json.dumps({"any": [{"field": "id", "lookup": "exact", "value": 1}] * 101})}, "filter"),
    ],
)
def test_a_parameter_that_cannot_be_answered_is_named(client, parameters, field):
    assert refused(client.get("/library_author", params=parameters), 422, field) == "not_valid"


def test_what_is_written_is_validated_by_field(client, authors, mark):
    author = authors[0]["id"]
    assert refused(client.post("/library_author", json={"name": mark, "shoe_size": 38}), 422, "shoe_size")
    assert refused(client.post("/library_author", json={"name": mark, "born": "yesterday"}), 422, "born")
    book = {"title": mark, "author_id": author}
    assert refused(client.post("/library_book", json={**book, "pages": 0}), 422, "pages")
    second = client.post("/library_book", json={"items": [book, {**book, "title": "x" * 51}]})
    assert refused(second, 422, "items[1].title")
    assert client.get("/library_book", params={"title": mark}).json()["items"] == []
    assert refused(client.post("/library_author", content=b"[1]"), 400) == "malformed_json"


def test_values_come_back_as_they_were_sent(client, authors, mark):
    book = {
        "title": mark,
        "author_id": authors[0]["id"],
        "price": "12.30",
        "published_at": "2026-01-31T12:00:00.123456Z",
        "in_print": False,
        "notes": None,
    }
    made = client.post("/library_book", json=book).raise_for_status().json()
    assert {name: made[name] for name in book} == book
    found = client.get("/library_book", params={"published_at": "2026-01-31T14:00:00.123456+02:00", "title": mark})
    assert [item["id"] for item in found.json()["items"]] == [made["id"]]


def test_a_change_of_another_version_is_refused(client, authors):
    where = f"/library_author/{authors[0]['id']}"
    tag = client.get(where).headers["ETag"]
    assert tag == f'"{authors[0]["_version"]}"'
    assert client.get(where, headers={"If-None-Match": tag}).status_code == 304
    changed = client.patch(where, json={"born": None}, headers={"If-Match": tag})
    assert changed.headers["ETag"] != tag
    assert refused(client.patch(where, json={"name": "x"}, headers={"If-Match": tag}), 412) == "precondition_failed"
    assert refused(client.delete(where, headers={"If-Match": tag}), 412) == "precondition_failed"


def test_a_key_makes_one_item_of_two_requests(client, mark):
    key = {"Idempotency-Key": mark}
    first = client.post("/library_author", json={"name": mark}, headers=key)
    second = client.post("/library_author", json={"name": mark}, headers=key)
    assert (second.status_code, second.json(), second.headers["Idempotent-Replayed"]) == (201, first.json(), "true")
    other = client.post("/library_author", json={"name": "x"}, headers=key)
    assert refused(other, 422) == "idempotency_key_reused"
    assert client.get("/library_author", params={"name": mark, "count": "true"}).json()["count"] == 1


def test_several_items_are_deleted_by_their_keys_and_by_nothing_else(client, authors):
    keys = ",".join(str(author["id"]) for author in authors[:2])
    assert client.delete("/library_author", params={"id__in": keys}).json() == {"deleted": 2}
    assert client.delete("/library_author", params={"id__in": keys}).json() == {"deleted": 0}
    assert refused(client.delete("/library_author"), 422, "id__in")
    assert refused(client.delete("/library_author", params={"name__startswith": ""}), 422, "id__in")


def test_what_constraints_forbid_is_a_conflict(client, mark):
    tag = client.post("/library_tag", json={"name": mark}).raise_for_status().json()
    author = client.post("/library_author", json={"name": mark}).json()
    book = client.post("/library_book", json={"title": mark, "author_id": author["id"]}).json()
    client.post("/library_copy", json={"id": str(uuid.uuid4()), "book_id": book["id"]}).raise_for_status()
    assert refused(client.delete(f"/library_book/{book['id']}"), 409) == "conflict"
    assert refused(client.delete(f"/guarded_tag/{tag['id']}"), 403) == "forbidden"
    assert client.delete(f"/guarded_tag/{tag['id']}", headers={"Authorization": "Bearer librarian"}).status_code == 204


def test_a_method_that_is_not_there_is_named(client):
    answer = client.patch("/library_author", json={})
    assert refused(answer, 405) == "method_not_allowed"
    assert answer.headers["Allow"] == "GET, POST, DELETE"

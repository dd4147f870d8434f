"""The part of the collection contract that reads (docs/reference/collection-contract.md), on the four services.

What is expected is computed here of the rows themselves, so nothing is known of a service beside its description.
"""

import json
import uuid
from dataclasses import dataclass
from datetime import datetime
from operator import ge, gt, le, lt

import pytest

from devstack.harness.stack import sent
from tests.support.shop import key as idempotency_key

EQUAL = ("exact", "in")
ORDERED = (*EQUAL, "lt", "lte", "gt", "gte", "range")
COMPARED = {"lt": lt, "lte": le, "gt": gt, "gte": ge}
SCOPES = "orders:all inventory operations"
OFFERED = {"GET", "HEAD", "OPTIONS"}


@dataclass(frozen=True)
class Told:
    """What the suite knows of a collection."""

    service: str
    name: str
    key: str
    filters: dict[str, tuple[str, ...]]
    sorts: tuple[str, ...]
    another: str
    """A field that is neither filtered nor sorted by."""

    @property
    def path(self):
        return f"/v1/collections/{self.name}"


BY_ORDER = {"order_id": ORDERED, "created_at": ORDERED}
OF_CUSTOMERS = {**BY_ORDER, "customer_id": EQUAL}
BY_TIME = ("order_id", "created_at")
COLLECTIONS = [
    Told("order", "orders", "order_id", {**OF_CUSTOMERS, "status": EQUAL}, BY_TIME, "total"),
    Told("inventory", "products", "sku", {"sku": ORDERED}, ("sku",), "name"),
    Told("inventory", "reservations", "order_id", {**BY_ORDER, "status": EQUAL}, BY_TIME, "lines"),
    Told("payment", "payments", "order_id", {**OF_CUSTOMERS, "status": EQUAL}, BY_TIME, "amount"),
    Told("notification", "notifications", "order_id", OF_CUSTOMERS, BY_TIME, "notices"),
]
OWNED = [told for told in COLLECTIONS if "customer_id" in told.filters]


@pytest.fixture(scope="module")
def customer(shop):
    """A customer's token; their orders are those of this module."""
    return shop.stack.token(f"reader-{uuid.uuid4().hex[:8]}")


@pytest.fixture(scope="module")
def staff(shop):
    return shop.stack.token("staff", SCOPES)


@pytest.fixture(scope="module")
def skus(shop):
    return [shop.product(100) for _ in range(5)]


@pytest.fixture(scope="module")
def orders(shop, skus, customer, staff):
    """The ids of five orders, one of them not paid for, once nothing happens to them any more."""
    with shop.stack.client("order", customer) as client:
        placed = [
            sent(
                client.post(
                    "/v1/orders",
                    json={"lines": [{"sku": skus[0], "quantity": 1}], "payment_method": method},
                    headers=idempotency_key(),
                ),
                202,
            )["id"]
            for method in ("tok_ok", "tok_ok", "tok_declined", "tok_ok", "tok_ok")
        ]
        ended = {"CONFIRMED", "CANCELLED"}
        for order_id in placed:
            shop.until(lambda: client.get(f"/v1/orders/{order_id}").json()["status"] in ended, "it has ended")  # noqa: B023
    with shop.stack.client("notification", staff) as client:

        def told():
            found = client.get("/v1/collections/notifications", params={"order_id__in": ",".join(placed)}).json()
            notices = [notice for item in found["items"] for notice in item["notices"].values()]
            return len(notices) == len(placed) and all(one["status"] != "PENDING" for one in notices)

        shop.until(told, "all are told")
    with shop.stack.client("inventory", staff) as client:

        def closed():
            found = client.get("/v1/collections/reservations", params={"order_id__in": ",".join(placed)}).json()
            return [item["status"] for item in found["items"]].count("COMMITTED") == 4

        shop.until(closed, "the goods have left")
    return placed


@pytest.fixture(scope="module", params=COLLECTIONS, ids=lambda told: told.name)
def told(request):
    return request.param


@pytest.fixture(scope="module")
def client(shop, told, staff):
    with shop.stack.client(told.service, staff) as opened:
        yield opened


@pytest.fixture(scope="module")
def within(told, orders, skus):
    """What keeps a request to rows that stand still."""
    return {f"{told.key}__in": ",".join(orders if told.key == "order_id" else skus)}


@pytest.fixture(scope="module")
def rows(client, told, within):
    """All of these rows, by their key."""
    found = sent(client.get(told.path, params=within), 200)
    assert (len(found["items"]), found["next"]) == (5, None)
    return found["items"]


@pytest.fixture
def keys(client, told, within):
    """Ask for the keys of the rows of a list."""

    def asked(**parameters):
        found = sent(client.get(told.path, params={**within, **parameters}), 200)
        return [item[told.key] for item in found["items"]]

    return asked


def comparable(value):
    try:
        return datetime.fromisoformat(value) if "T" in value else value
    except ValueError:
        return value


def holds(row, field, lookup, value):
    own = comparable(row[field])
    match lookup:
        case "exact":
            return own == comparable(value)
        case "in":
            return own in map(comparable, value)
        case "range":
            first, last = map(comparable, value)
            return first <= own <= last
        case _:
            return COMPARED[lookup](own, comparable(value))


def comparisons(told, rows):
    for field, lookups in told.filters.items():
        values = sorted({row[field] for row in rows}, key=comparable)
        for lookup in lookups:
            yield field, lookup, [values[0], values[-1]] if lookup in ("in", "range") else values[len(values) // 2]


def named(problem):
    return [error["field"] for error in problem["errors"]]


def test_every_filter_that_is_offered_finds_the_rows_that_it_holds_for(told, rows, keys):
    for field, lookup, value in comparisons(told, rows):
        expected = [row[told.key] for row in rows if holds(row, field, lookup, value)]
        plain = ",".join(value) if isinstance(value, list) else value
        tree = {"field": field, "lookup": lookup, "value": value}
        others = [row[told.key] for row in rows if row[told.key] not in expected]
        assert keys(**{f"{field}__{lookup}": plain}) == expected, (field, lookup)
        assert keys(filter=json.dumps(tree)) == expected, (field, lookup)
        assert keys(filter=json.dumps({"not": tree})) == others, (field, lookup)


def test_filters_are_joined_by_and_and_or(told, rows, keys):
    one, two, three = ({"field": told.key, "lookup": "exact", "value": row[told.key]} for row in rows[:3])
    assert keys(filter=json.dumps({"any": [one, {"all": [two, three]}, {"all": [three, three]}]})) == [
        rows[0][told.key],
        rows[2][told.key],
    ]
    assert keys(filter='{"any": []}') == []
    assert keys(**{told.key: rows[0][told.key], f"{told.key}__in": rows[1][told.key]}) == []


def test_every_sort_that_is_offered_is_in_order_and_pages_hold_each_row_once(client, told, rows, within, keys):
    for field in told.sorts:
        rising = [row[told.key] for row in sorted(rows, key=lambda row: (comparable(row[field]), row[told.key]))]
        assert keys(sort=field) == rising
        assert keys(sort=f"-{field},-{told.key}") == rising[::-1]
        assert keys(sort=field, offset=1, limit=2) == rising[1:3]
        seen, link, parameters = [], told.path, {**within, "sort": field, "limit": 2}
        while link:
            page = sent(client.get(link, params=parameters), 200)
            seen.append([row[told.key] for row in page["items"]])
            link, parameters = page["next"], None
        assert seen == [rising[:2], rising[2:4], rising[4:]]


def test_a_count_is_of_all_that_match_and_fields_are_those_asked_for(client, told, rows, within):
    counted = sent(client.get(told.path, params={**within, "count": "true", "limit": 0}), 200)
    assert (counted["items"], counted["count"]) == ([], 5)
    some = sent(client.get(told.path, params={**within, "fields": told.another}), 200)["items"]
    assert some == [{name: row[name] for name in (told.key, told.another, "_version")} for row in rows]


def test_two_hundred_keys_are_asked_for_at_once(told, rows, keys):
    others = [str(uuid.uuid4()) for _ in range(199)]
    assert keys(**{f"{told.key}__in": ",".join([rows[0][told.key], *others])}) == [rows[0][told.key]]


def test_a_row_is_read_by_its_key_and_not_again_while_it_has_not_changed(client, told, rows):
    for row in rows:
        answer = client.get(f"{told.path}/{row[told.key]}")
        assert (sent(answer, 200), answer.headers["ETag"].replace("+gzip", "")) == (row, f'"{row["_version"]}"')
        same = client.get(f"{told.path}/{row[told.key]}", headers={"If-None-Match": answer.headers["ETag"]})
        assert (same.status_code, same.content) == (304, b"")
    assert client.head(f"{told.path}/{rows[0][told.key]}").headers["ETag"]
    for unknown in (str(uuid.uuid4()), "0"):
        assert sent(client.get(f"{told.path}/{unknown}"), 404)["code"] == "not_found"


def test_a_parameter_that_cannot_be_answered_is_named(client, told, within):
    another = told.another
    for parameters, field in (
        ({"shoe_size": "38"}, "shoe_size"),
        ({another: "1"}, another),
        ({f"{another}__gt": "1"}, f"{another}__gt"),
        ({f"{told.key}__icontains": "1"}, f"{told.key}__icontains"),
        ({"filter": json.dumps({"not": {"field": another, "lookup": "isnull", "value": True}})}, f"{another}__isnull"),
        ({"sort": another}, "sort"),
        ({"fields": "shoe_size"}, "fields"),
        ({"limit": "1001"}, "limit"),
        ({"cursor": "x"}, "cursor"),
        ({"filter": "{"}, "filter"),
    ):
        answer = client.get(told.path, params={**within, **parameters})
        assert named(sent(answer, 422)) == [field]
    assert named(sent(client.get(f"{told.path}/1", params={"limit": 1}), 422)) == ["limit"]
    assert sent(client.get(told.path, params={told.key: "\0"}), 422)["code"] == "not_valid"


def test_the_services_document_has_every_filter_and_every_sort(client, told):
    published = sent(client.get("/v1/openapi.json"), 200)["paths"]
    parameters = {one["name"]: one for one in published[told.path]["get"]["parameters"]}
    offered = {f"{field}__{lookup}".removesuffix("__exact") for field, of in told.filters.items() for lookup in of}
    assert set(parameters) == offered | {"filter", "sort", "limit", "offset", "cursor", "count", "fields"}
    assert f"({'|'.join(told.sorts)})" in parameters["sort"]["schema"]["pattern"]
    assert set(published[f"{told.path}/{{key}}"]) == {"get"}


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_a_write_is_refused_and_nothing_is_written(client, told, rows, keys, method):
    for path in (told.path, f"{told.path}/{rows[0][told.key]}"):
        answer = client.request(method, path, json={told.another: 1}, headers=idempotency_key())
        assert sent(answer, 405)["code"] == "method_not_allowed"
        assert set(answer.headers["Allow"].split(", ")) == OFFERED
    assert sent(client.get(f"{told.path}/{rows[0][told.key]}"), 200) == rows[0]


@pytest.mark.parametrize("told", OWNED, ids=lambda told: told.name, indirect=True)
def test_customers_read_their_own_rows_and_find_no_others(shop, told, rows, within, customer):
    with shop.stack.client(told.service, customer) as own:
        assert sent(own.get(told.path, params=within), 200)["items"] == rows
        assert sent(own.get(told.path, params={"count": "true", "limit": 0}), 200)["count"] == 5
    with shop.stack.client(told.service, shop.stack.token("somebody-else")) as other:
        found = sent(other.get(told.path, params={**within, "count": "true"}), 200)
        assert (found["items"], found["count"]) == ([], 0)
        assert sent(other.get(f"{told.path}/{rows[0][told.key]}"), 404)["code"] == "not_found"


def test_rows_of_the_shop_itself_need_the_scope_of_its_staff(shop, skus, customer, staff):
    with shop.stack.client("inventory", customer) as somebody, shop.stack.client("inventory", staff) as clerk:
        assert sent(somebody.get("/v1/collections/reservations"), 403)["code"] == "forbidden"
        gone = shop.product(1)
        assert shop.staff.delete(f"/v1/products/{gone}").status_code == 204
        both = {"sku__in": f"{skus[1]},{gone}"}
        listed = sent(somebody.get("/v1/collections/products", params=both), 200)["items"]
        known = sent(clerk.get("/v1/collections/products", params=both), 200)["items"]
        assert [item["sku"] for item in listed] == [skus[1]]
        assert {item["sku"]: item["status"] for item in known} == {skus[1]: "LISTED", gone: "DELISTED"}


def test_a_request_without_a_token_is_refused_with_what_every_answer_has(client, told):
    answer = client.get(told.path, headers={"Authorization": ""})
    assert sent(answer, 401)["code"] == "unauthenticated"
    for header in ("X-Request-ID", "RateLimit", "WWW-Authenticate"):
        assert header in answer.headers
    options = client.options(told.path)
    assert (options.status_code, set(options.headers["Allow"].split(", "))) == (204, OFFERED)

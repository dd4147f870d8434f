"""A service in Go behind a Django model: its rows, its events on a topic, and the how-to guide that it follows."""

import re
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import httpx2
import psycopg
import pytest
from django.apps import apps
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import connections
from django.db.utils import IntegrityError
from django.test import override_settings

from devstack.folder import CHECKOUT
from devstack.harness.wait import wait_until
from tests.support import reviews
from tests.support.reviews import ALIAS, topic
from tests.support.reviews.models import Review
from waybill.rest_backend.errors import NotAuthenticated, StaleVersion

HOW_TO = CHECKOUT / "docs" / "how-to" / "publish-from-another-language.md"
EVENTS = """
SELECT aggregate_version, split_part(event_type, '.', 2) FROM waybill_outbox WHERE aggregate_id = %s
ORDER BY position
"""
LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('review ' || %s, 0))"
APPEND = """
INSERT INTO waybill_outbox (event_id, topic, aggregate_type, aggregate_id, aggregate_version,
                            event_type, schema_version, payload, metadata)
SELECT gen_random_uuid(), topic, aggregate_type, aggregate_id, max(aggregate_version) + 1,
       'reviews.ReviewRevised', 1, min(payload) FILTER (WHERE aggregate_version = 1), '{}'
FROM waybill_outbox WHERE aggregate_id = %s GROUP BY topic, aggregate_type, aggregate_id
"""
WAITING = "SELECT 1 FROM pg_stat_activity WHERE %s = ANY (pg_blocking_pids(pid))"
NEITHER_ROW_NOR_KEY = 10**12
pytestmark = pytest.mark.timeout(900)  # a cold download and build are within it


@pytest.fixture
def rows(reviews_service):
    """Give the Django model's rows, which the service has, to whoever has a token."""

    def closed():
        connections.settings.pop(ALIAS, None)
        if hasattr(connections._connections, ALIAS):
            del connections[ALIAS]

    def of(token):
        closed()
        database = {"ENGINE": "waybill.rest_backend", "NAME": reviews_service.url, "OPTIONS": {"token": lambda: token}}
        connections.settings[ALIAS] = connections.configure_settings({"default": {}, ALIAS: database})[ALIAS]
        return Review.objects.using(ALIAS)

    with override_settings(INSTALLED_APPS=[*settings.INSTALLED_APPS, "tests.support.reviews"]):
        apps.clear_cache()
        yield of
    closed()


@pytest.fixture
def model(rows):
    return rows(reviews.TOKEN)


@pytest.fixture
def client(reviews_service):
    with httpx2.Client(base_url=reviews_service.url, headers=reviews_service.headers, timeout=10) as opened:
        yield opened


def number():
    """A product or a customer that no other test has."""
    return uuid.uuid4().int % 2**62


def body(**fields):
    return {"product_id": number(), "customer_id": number(), "author": "Ann", "stars": 1, **fields}


def written(client, **fields):
    return client.post("/reviews", json=body(**fields)).raise_for_status().json()


def events(service, key):
    with psycopg.connect(service.database.service_url) as connection:
        return connection.execute(EVENTS, [str(key)]).fetchall()


def test_a_django_model_reads_and_writes_the_rows_and_each_change_is_an_event(model, reviews_service):
    product = number()
    first = model.create(product_id=product, customer_id=5, author="Ann Able", stars=4)
    others = [Review(product_id=product, customer_id=n, order_id=n, author=f"Bob {n}", stars=n) for n in (2, 3)]
    assert [one.pk - first.pk for one in model.bulk_create(others)] == [1, 2]
    first.published, first.text = False, "Even at night."
    first.save()
    first.save()
    assert events(reviews_service, first.pk) == [(1, "ReviewWritten"), (2, "ReviewRevised")]

    of_product = model.filter(product_id=product)
    assert of_product.get(author__icontains="ABLE").created_at == first.created_at
    assert of_product.exclude(order_id=3).order_by("-stars").values_list("stars", flat=True)[0] == 4
    assert (of_product.count(), of_product.filter(published=True).count()) == (3, 2)

    with pytest.raises(ValidationError) as refused:
        model.create(product_id=product, customer_id=1, author="Cy Cole", stars=6)
    assert refused.value.message_dict.keys() == {"stars"}
    with pytest.raises(IntegrityError, match="review_once"):
        model.create(product_id=product, customer_id=5, author="Ann Able", stars=1)
    seen = model.get(pk=first.pk)
    with psycopg.connect(reviews_service.database.owner_url) as owner:
        owner.execute("UPDATE reviews SET version = version + 1 WHERE id = %s", [first.pk])
    with pytest.raises(StaleVersion):
        seen.save()

    assert of_product.delete()[0] == 3
    assert events(reviews_service, first.pk)[-1] == (3, "ReviewWithdrawn")
    again = model.create(pk=first.pk, product_id=product, customer_id=5, author="Ann Able", stars=1)
    assert events(reviews_service, again.pk)[-1] == (4, "ReviewWritten")


def test_what_is_refused_leaves_neither_row_nor_event(client, reviews_service):
    taken = written(client)
    new = NEITHER_ROW_NOR_KEY + number()
    again = {name: taken[name] for name in ("product_id", "customer_id")}
    answer = client.post("/reviews", json={"items": [body(id=new), body(**again)]})
    assert (answer.status_code, answer.json()["code"]) == (409, "already_exists")
    assert client.get(f"/reviews/{new}").status_code == 404
    assert events(reviews_service, new) == []
    assert events(reviews_service, taken["id"]) == [(1, "ReviewWritten")]


def test_a_number_that_no_row_can_have_is_in_none(client):
    for stars in (70_000, 2**40):
        assert client.get("/reviews", params={"stars": stars}).json()["items"] == []


def test_writers_at_once_give_versions_without_holes(client, reviews_service):
    made = written(client)
    texts = [f"{one}" for one in range(24)]
    with ThreadPoolExecutor(8) as threads:
        where = f"/reviews/{made['id']}"
        answers = list(threads.map(lambda text: client.patch(where, json={"text": text}), texts))
    assert {answer.status_code for answer in answers} == {200}
    assert [version for version, _ in events(reviews_service, made["id"])] == list(range(1, 26))
    assert client.get(where).headers["ETag"] == '"25"'


@contextmanager
def another_writer(database, key):
    """A program in any language that shares the outbox: it has the lock and an event, and commits at the end."""
    with psycopg.connect(database.service_url) as other:
        other.execute(LOCK, [str(key)])
        other.execute(APPEND, [str(key)])
        yield other.info.backend_pid


@pytest.mark.parametrize(
    ("method", "path", "status", "event"),
    [
        ("PATCH", "/reviews/{}", 200, "ReviewRevised"),
        ("DELETE", "/reviews/{}", 204, "ReviewWithdrawn"),
        ("DELETE", "/reviews?id__in={},0", 200, "ReviewWithdrawn"),
        ("POST", "/reviews", 201, "ReviewWritten"),
    ],
)
def test_a_write_waits_for_another_writer_of_the_same_review(client, reviews_service, method, path, status, event):
    """Without the lock both give one version; or, where the last one was read before it, that is too old."""
    made, database = written(client), reviews_service.database
    given = {"PATCH": {"text": "!"}, "POST": body(id=made["id"])}.get(method)
    if method == "POST":
        client.delete(f"/reviews/{made['id']}").raise_for_status()
    before = events(reviews_service, made["id"])

    def waits():
        with psycopg.connect(database.superuser_url) as watcher:
            return watcher.execute(WAITING, [pid]).fetchone()

    with ThreadPoolExecutor(1) as aside:
        with another_writer(database, made["id"]) as pid:
            answer = aside.submit(client.request, method, path.format(made["id"]), json=given)
            wait_until(waits, deadline_seconds=4, what=f"{method} behind the other writer", every_seconds=0.02)
        assert answer.result(10).status_code == status, answer.result().text
    last = before[-1][0]
    expected = [*before, (last + 1, "ReviewRevised"), (last + 2, event)]
    assert events(reviews_service, made["id"]) == expected


def test_who_has_not_the_token_is_told_so(client, rows):
    answer = client.get("/reviews", headers={"Authorization": "Bearer another"})
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
    with pytest.raises(NotAuthenticated):
        rows("another").count()


@pytest.mark.parametrize("path", ["/products", "/reviewsx", "//reviews", "/reviews/", "/reviews/x", "/../reviews"])
def test_another_path_is_not_found_and_never_redirected(client, path):
    answer = client.get(path)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_the_relay_publishes_what_the_service_and_the_guide_append(model, reviews_service, stack):
    database = reviews_service.database
    (statements,) = re.findall(r"```sql\n(.*?)```", HOW_TO.read_text(), re.DOTALL)
    guided = "4711"
    with psycopg.connect(database.service_url, autocommit=True) as connection:
        connection.execute(statements)
    product = number()
    review = model.create(product_id=product, customer_id=5, author="Ann", stars=2)
    review.stars = 3
    review.save()
    key = str(review.pk)
    review.delete()

    records = [record for record in topic.published(database, stack) if record.key in (guided, key)]
    told = {(record.key, record.version): (record.headers["ce_type"], topic.read(stack, record)) for record in records}
    said = {"review_id": int(key), "product_id": product}
    assert told == {
        (guided, 1): (
            "reviews.ReviewWritten",
            {"review_id": 4711, "product_id": 7, "stars": 4, "published": True},
        ),
        (key, 1): ("reviews.ReviewWritten", {**said, "stars": 2, "published": True}),
        (key, 2): ("reviews.ReviewRevised", {**said, "stars": 3, "published": True}),
        (key, 3): ("reviews.ReviewWithdrawn", said),
    }
    assert [record.version for record in records if record.key == key] == [1, 2, 3]
    first = next(record for record in records if record.key == guided)
    assert first.headers["ce_source"] == "/waybill/reviews"
    assert first.headers["ce_correlationid"] == "f3b1c0de-5d0c-4f0a-8a55-0d4a3f6d2c11"

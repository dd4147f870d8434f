"""A service in Go behind a Django model: its rows, its events on a topic, and the how-to guide that it follows."""

import json
import os
import re
import subprocess
import sys
import uuid
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO

import httpx2
import psycopg
import pytest
from django.apps import apps
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import connections
from django.test import override_settings
from fastavro import parse_schema, schemaless_reader

from devstack.folder import CHECKOUT
from tests.support import reviews
from tests.support.outbox_command import outbox
from tests.support.relays import Outbox, read_topic, relay
from tests.support.reviews import ALIAS
from tests.support.reviews.models import Review
from waybill.contracts.codec import unframe
from waybill.rest_backend.errors import NotAuthenticated, StaleVersion

TOPIC = "reviews.events.v1"
SCHEMAS = reviews.EXAMPLE / "schemas"
HOW_TO = CHECKOUT / "docs" / "how-to" / "publish-from-another-language.md"
EVENTS = """
SELECT aggregate_version, split_part(event_type, '.', 2) FROM waybill_outbox WHERE aggregate_id = %s
ORDER BY position
"""
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


def events(service, key):
    with psycopg.connect(service.database.service_url) as connection:
        return connection.execute(EVENTS, [str(key)]).fetchall()


def test_a_django_model_reads_and_writes_the_rows_and_each_change_is_an_event(model, reviews_service):
    product = uuid.uuid4().int % 2**31
    first = model.create(product=product, customer=5, stars=4, title="Good light")
    model.bulk_create([Review(product=product, stars=2, title="Too dim"), Review(product=product, stars=5, title="!")])
    first.published, first.text = True, "Even at night."
    first.save()
    first.save()
    assert events(reviews_service, first.pk) == [(1, "ReviewWritten"), (2, "ReviewRevised")]

    of_product = model.filter(product=product)
    assert of_product.get(title__icontains="LIGHT").created == first.created
    assert of_product.exclude(customer=5).order_by("-stars").values_list("stars", flat=True)[0] == 5
    assert (of_product.count(), of_product.filter(published=True).count()) == (3, 1)

    with pytest.raises(ValidationError) as refused:
        model.create(product=product, stars=6, title="!")
    assert refused.value.message_dict.keys() == {"stars"}
    seen = model.get(pk=first.pk)
    with psycopg.connect(reviews_service.database.owner_url) as owner:
        owner.execute("UPDATE reviews SET version = version + 1 WHERE id = %s", [first.pk])
    with pytest.raises(StaleVersion):
        seen.save()

    assert of_product.delete()[0] == 3
    assert events(reviews_service, first.pk)[-1] == (3, "ReviewWithdrawn")
    again = model.create(pk=first.pk, product=product, stars=1, title="Again")
    assert events(reviews_service, again.pk)[-1] == (4, "ReviewWritten")


def test_what_is_refused_leaves_neither_row_nor_event(client, reviews_service):
    taken, new = (str(uuid.uuid4()) for _ in range(2))
    body = {"product": 1, "stars": 1, "title": "!"}
    client.post("/reviews", json={"id": taken, **body}).raise_for_status()
    answer = client.post("/reviews", json={"items": [{"id": new, **body}, {"id": taken, **body}]})
    assert (answer.status_code, answer.json()["code"]) == (409, "already_exists")
    assert client.get(f"/reviews/{new}").status_code == 404
    assert events(reviews_service, new) == []
    assert events(reviews_service, taken) == [(1, "ReviewWritten")]


def test_writers_at_once_give_versions_without_holes(client, reviews_service):
    made = client.post("/reviews", json={"product": 1, "stars": 1, "title": "!"}).raise_for_status().json()
    titles = [f"{number}" for number in range(24)]
    with ThreadPoolExecutor(8) as threads:
        where = f"/reviews/{made['id']}"
        answers = list(threads.map(lambda title: client.patch(where, json={"title": title}), titles))
    assert {answer.status_code for answer in answers} == {200}
    assert [version for version, _ in events(reviews_service, made["id"])] == list(range(1, 26))
    assert client.get(where).headers["ETag"] == '"25"'


def test_who_has_not_the_token_is_told_so(client, rows):
    answer = client.get("/reviews", headers={"Authorization": "Bearer another"})
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
    with pytest.raises(NotAuthenticated):
        rows("another").count()


@pytest.mark.parametrize("path", ["/products", "/reviewsx", "//reviews", "/reviews/", "/reviews/x", "/../reviews"])
def test_another_path_is_not_found_and_never_redirected(client, path):
    answer = client.get(path)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_the_relay_publishes_what_the_service_and_the_guide_append(model, reviews_service, stack, registry_url):
    database = reviews_service.database
    contracts("check")
    contracts("topics", WAYBILL_KAFKA_BOOTSTRAP=stack.kafka)
    contracts("register", WAYBILL_REGISTRY_URL=registry_url, WAYBILL_OWNER_DATABASE_URLS=database.owner_url)
    (statements,) = re.findall(r"```sql\n(.*?)```", HOW_TO.read_text(), re.DOTALL)
    guided = "7f1f2b6e-2a43-4c1c-9d0f-0f3f1c1e2a11"
    with psycopg.connect(database.service_url, autocommit=True) as connection:
        connection.execute(statements)
    review = model.create(product=8, stars=2, title="Dim")
    review.stars = 3
    review.save()
    key = str(review.pk)
    review.delete()

    outboxes = Outbox(database, stack.kafka, TOPIC)
    operator = {
        "WAYBILL_OUTBOX_DATABASES": f"reviews={database.superuser_url}",
        "WAYBILL_KAFKA_BOOTSTRAP": stack.kafka,
        "WAYBILL_SCHEMAS": str(SCHEMAS),
    }
    with relay(outboxes, WAYBILL_SERVICE="reviews", WAYBILL_SCHEMAS=str(SCHEMAS)) as running:
        outboxes.wait_for_cursor(outboxes.execute("SELECT max(position) FROM waybill_outbox")[0][0])
        running.wait_for("a status that is well", lambda: outbox("status", **operator).code == 0, 30)
        verified = outbox("verify", **operator)
        assert verified.code == 0, verified
    records = [record for record in read_topic(stack.kafka, TOPIC) if record.key in (guided, key)]
    told = {(record.key, record.version): (record.headers["ce_type"], read(registry_url, record)) for record in records}
    assert told == {
        (guided, 1): ("reviews.ReviewWritten", {"review_id": guided, "product": 7, "stars": 4, "published": True}),
        (key, 1): ("reviews.ReviewWritten", {"review_id": key, "product": 8, "stars": 2, "published": False}),
        (key, 2): ("reviews.ReviewRevised", {"review_id": key, "product": 8, "stars": 3, "published": False}),
        (key, 3): ("reviews.ReviewWithdrawn", {"review_id": key, "product": 8}),
    }
    assert [record.version for record in records if record.key == key] == [1, 2, 3]
    first = next(record for record in records if record.key == guided)
    assert first.headers["ce_source"] == "/waybill/reviews"
    assert first.headers["ce_correlationid"] == "f3b1c0de-5d0c-4f0a-8a55-0d4a3f6d2c11"


def contracts(*arguments, **environment):
    command = [sys.executable, "-m", "waybill", "contracts", *arguments]
    environment = os.environ | {"WAYBILL_SCHEMAS": str(SCHEMAS)} | environment
    subprocess.run(command, cwd=CHECKOUT, env=environment, check=True, timeout=60, capture_output=True)


def read(registry_url, record):
    """Decode a record as a subscriber does, who has nothing but the registry."""
    schema_id, payload = unframe(record.value)
    schema = httpx2.get(f"{registry_url}/schemas/ids/{schema_id}").raise_for_status().json()["schema"]
    found = schemaless_reader(BytesIO(payload), parse_schema(json.loads(schema)), None)
    return found | {"review_id": str(found["review_id"])}

"""Dead letters in the console: counted in groups, paged, one of them told whole, and redriven as a job."""

import json
import re
from uuid import UUID, uuid4

import psycopg
import pytest
from django.db import connection
from django.urls import reverse

from console_service.web import databases
from console_service.web.access import Role
from devstack.harness.wait import wait_until
from inventory_service.models import ProductRow
from outbox_relay.operations.dead_letters.dead_letters import Choice
from outbox_relay.operations.redrives import jobs
from tests.support.console import shows
from tests.support.databases import in_use
from tests.support.dead_letters import dead_letter_pair
from tests.support.inbox import WRITERS
from tests.support.many_dead_letters import fill
from tests.support.redriving import repair
from tests.support.stock import stocked
from waybill.consumer import schema_ids
from waybill.runtime.settings import _read

LINK = re.compile(r'href="([^"]+)"')
VIEW = [Role.VIEW]


@pytest.fixture
def inventory(kept, monkeypatch):
    """An inventory service's database, which the console shows."""
    with kept.fresh("inventory_service") as database:
        shows(monkeypatch, {"inventory": database.service_url})
        with psycopg.connect(database.owner_url, autocommit=True) as owner:
            for schema_id, event in WRITERS.items():
                owner.execute("INSERT INTO waybill_schema_id VALUES (%s, 1, %s)", [event.event_type, schema_id])
        yield database
        databases.close()
        _read.cache_clear()


def failed(database, count: int = 1) -> list:
    """Make pairs of dead letters in the database, and leave this process's Django where it was."""
    schema_ids._writers.cache_clear()
    own = dict(connection.settings_dict)
    with in_use(database.service_url):
        if not ProductRow.objects.exists():
            stocked("LAMP", 100)
        events = [dead_letter_pair() for _ in range(count)]
    connection.settings_dict.update(own)
    return events


def text(client, address: str) -> str:
    response = client.get(address)
    assert response.status_code == 200, response.content.decode()
    return response.content.decode()


def act(client, name: str, **fields: str):
    """Ask for an action, look at its dry run, and execute it."""
    fields = {"reason": "the fix is out", **fields}
    dry = client.post(reverse(name), fields)
    assert dry.status_code == 200, dry.content.decode()
    seal = re.search(r'name="seal" value="([^"]+)"', dry.content.decode())[1]
    return dry.content.decode(), client.post(reverse(name), {**fields, "seal": seal})


def test_where_nothing_failed_the_screen_says_what_would_be_there(console, inventory):
    assert "No dead letters. A message that a service could not handle" in text(console, "/failures")


def test_a_groups_numbers_lead_to_what_they_count_page_by_page(console, inventory):
    with psycopg.connect(inventory.superuser_url, autocommit=True) as session:
        fill(session, 2_400)
    shown = text(console, "/failures")
    (address, *_) = [one for one in LINK.findall(shown) if "KeyError" in one and "OrderPlaced" in one]
    assert f'<a href="{address}">50</a>' in shown
    first = text(console, address.replace("&amp;", "&"))
    places = re.findall(r'<a class="id" href="(/failures/inventory/[^"]+)">', first)
    assert len(set(places)) == 50
    assert "Next page" not in first
    all_of_it = text(console, "/failures?service=inventory&kind=message")
    (following,) = re.findall(r'<a href="([^"]+)" rel="next">', all_of_it)
    second = text(console, "/failures" + following.replace("&amp;", "&"))
    assert not set(places_of(all_of_it)) & set(places_of(second))


def places_of(page: str) -> list[str]:
    return re.findall(r'<a class="id" href="(/failures/inventory/[^"]+)">', page)


def test_one_message_is_masked_by_the_viewers_roles_and_each_look_is_recorded(console, sign_in, inventory):
    (event,) = failed(inventory)
    with psycopg.connect(inventory.superuser_url, autocommit=True) as session:
        session.execute(
            "UPDATE received SET headers = jsonb_set(headers, '{record,Customer-Id}', '\"ann of old town\"')"
        )
    (place, *_) = places_of(text(console, f"/failures?service=inventory&key={event.aggregate_id}"))
    plain = text(sign_in(*VIEW), place)
    assert "Customer-Id" in plain
    assert "ann of old town" not in plain
    assert event.event_type in plain
    assert "this needs the role console:payload" in plain
    assert event.payment_method not in plain
    assert looks() == []
    own = text(console, place)
    assert event.lines[0].sku in own
    assert event.payment_method not in own
    assert "ann of old town" not in own
    whole = text(console, f"{place}?personal=shown")
    assert event.payment_method in whole
    assert "ann of old town" in whole
    assert [look["personal"] for look in looks()] == [False, True]
    assert sign_in(*VIEW).get(f"{place}?personal=shown").status_code == 403
    assert console.get(f"/failures/inventory/{uuid4()}").status_code == 404
    assert console.get(f"/failures/nobody/{uuid4()}").status_code == 404


def looks() -> list[dict]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT what::text FROM waybill_operator_action WHERE verb = 'console payload' ORDER BY id")
        return [json.loads(what) for (what,) in cursor.fetchall()]


def test_a_group_is_redriven_from_its_page_and_its_result_is_told(console, inventory):
    (good, bad) = failed(inventory, 2)
    repair(inventory, good)
    page = text(console, "/failures?service=inventory&kind=message&reason_class=Unreadable")
    (until,) = re.findall(r'name="until" value="([^"]+)"', page)
    meant = {"service": "inventory", "kind": "message", "reason_class": "Unreadable", "until": until, "rate": "50"}
    dry, done = act(console, "failures-redrive", **meant)
    assert "4 messages of inventory are handled again and 0 publications are sent, 50 a second" in dry
    assert done.status_code == 302
    wait_until(lambda: ended(inventory), deadline_seconds=30, what="the redrive's end")
    listed = text(console, "/redrives")
    (address,) = set(re.findall(r'href="(/redrives/inventory/[^"?]+)"', listed))
    told = text(console, address)
    assert 'Failed</a><strong class="bad">1</strong>' in told
    assert "Handled</a><strong>1</strong>" in told
    assert bad.aggregate_id in told
    assert good.aggregate_id in text(console, f"{address}?outcome=handled")
    with psycopg.connect(inventory.service_url) as session:
        verbs = session.execute("SELECT operator, verb, reason FROM waybill_operator_action").fetchall()
    assert set(verbs) == {("ann", "redrive", "the fix is out")}


def ended(database) -> bool:
    with psycopg.connect(database.service_url) as session:
        found = session.execute("SELECT finished_at FROM waybill_redrive_job").fetchall()
    return bool(found) and all(at for (at,) in found)


def test_what_came_after_the_dry_run_is_not_redriven(console, inventory):
    failed(inventory)
    page = text(console, "/failures?service=inventory&kind=message")
    (until,) = re.findall(r'name="until" value="([^"]+)"', page)
    failed(inventory)
    dry, _ = act(console, "failures-redrive", service="inventory", kind="message", until=until, rate="50")
    assert "2 messages of inventory" in dry
    with psycopg.connect(inventory.service_url) as session:
        assert session.execute("SELECT total FROM waybill_redrive_job").fetchall() == [(2,)]


def test_a_redrive_that_stopped_is_given_up_on_record(console, inventory):
    failed(inventory)
    with psycopg.connect(inventory.service_url, autocommit=True) as session:
        job = jobs.make("inventory", session, Choice(), None, "ana", "why")
    assert "stopped: the command that worked on it has ended" in text(console, f"/redrives/inventory/{job.id}")
    dry, _ = act(console, "redrives-abandon", service="inventory", job=str(job.id))
    assert "2 dead letters of inventory is given up" in dry
    assert "abandoned" in text(console, f"/redrives/inventory/{job.id}")
    refused = console.post(reverse("redrives-resume"), {"service": "inventory", "job": str(job.id), "reason": "why"})
    assert (refused.status_code, b"it is abandoned" in refused.content) == (422, True)
    assert console.get(f"/redrives/inventory/{UUID(int=1)}").status_code == 404


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"service": "nobody"}, "say of which service"),
        ({"service": "inventory", "until": "x"}, "a rate is a whole number"),
        ({"service": "inventory", "until": "2026-01-01T00:00:00+00:00", "rate": "-1"}, "a rate is between 1 and"),
        ({"service": "inventory", "until": "2026-01-01T00:00:00+00:00"}, "no dead letter would be redriven"),
    ],
)
def test_a_redrive_that_makes_no_sense_is_refused(console, inventory, fields, says):
    refused = console.post(reverse("failures-redrive"), {"reason": "why", **fields})
    assert (refused.status_code, says in refused.content.decode()) == (422, True), refused.content.decode()

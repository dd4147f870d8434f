"""Due tasks in the console: what waits for when, attempted now or later, on record."""

import re

import psycopg
import pytest
from django.db import connection
from django.urls import reverse

from tests.support.databases import in_use
from tests.support.outbox_command import place_orders


@pytest.fixture
def placed_order(services):
    """An order, whose deadline is a due task."""
    own = dict(connection.settings_dict)
    with in_use(services["order"].service_url):
        (order_id,) = place_orders(1)
    connection.settings_dict.update(own)
    return order_id


def rows(services) -> list[tuple]:
    with psycopg.connect(services["order"].service_url) as session:
        return session.execute("SELECT id, due_at FROM waybill_due_task ORDER BY id").fetchall()


def test_where_nothing_is_due_the_screen_says_what_would_be_there(console, services):
    assert "Nothing is due. Deadlines," in console.get("/tasks").content.decode()


def test_a_deadline_is_listed_and_moved_on_record(console, services, placed_order):
    listed = console.get("/tasks").content.decode()
    assert str(placed_order) in listed
    assert "Nothing is due" in console.get("/tasks?failing=1").content.decode()
    ((row, due_at),) = rows(services)
    meant = {"service": "order", "id": str(row), "at": "2031-01-31T12:00", "reason": "the warehouse counts"}
    dry = console.post(reverse("tasks-reschedule"), meant)
    assert dry.status_code == 200, dry.content.decode()
    assert rows(services) == [(row, due_at)]
    seal = re.search(r'name="seal" value="([^"]+)"', dry.content.decode())[1]
    done = console.post(reverse("tasks-reschedule"), {**meant, "seal": seal})
    assert done.status_code == 302, done.content.decode()
    ((_, moved),) = rows(services)
    assert moved.isoformat().startswith("2031-01-31T12:00")
    with psycopg.connect(services["order"].service_url) as session:
        found = session.execute("SELECT operator, reason FROM waybill_operator_action").fetchall()
    assert found == [("ann", "the warehouse counts")]


@pytest.mark.parametrize("name", ["tasks-reschedule", "tasks-cancel"])
def test_a_row_that_is_not_there_is_refused(console, services, name):
    for row in ("", "x", "7"):
        refused = console.post(reverse(name), {"service": "order", "id": row, "reason": "why"})
        assert refused.status_code == 422, refused.content.decode()

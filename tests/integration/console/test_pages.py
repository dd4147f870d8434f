"""What every page has: the screens, what is not reached, what is empty, and 304 where nothing changed."""

import re
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from django.urls import reverse

from console_service.web.assets import assets
from console_service.web.page import SCREENS
from console_service.web.tags import ago, when
from devstack.harness.wait import wait_until
from tests.support.console import confirmed, note, shows
from tests.support.orders import placed

POLL = {"HX-Request": "true"}


def test_every_screen_is_there_and_says_where_one_is(console, services):
    for screen in SCREENS:
        text = console.get(reverse(screen.name)).content.decode()
        assert f"<h1>{screen.title}</h1>" in text
        assert text.count('aria-current="page"') == 1, screen


def test_a_poll_gets_the_live_part_and_304_until_something_changes(console, services):
    first = console.get("/", headers=POLL)
    assert b"<html" not in first.content
    again = console.get("/", headers={**POLL, "If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    note([(placed(uuid4()), 1)])
    changed = console.get("/", headers={**POLL, "If-None-Match": first.headers["ETag"]})
    assert changed.status_code == 200
    assert changed.headers["ETag"] != first.headers["ETag"]


def test_a_database_that_is_away_is_named_and_the_rest_is_shown(console, services, monkeypatch):
    shows(monkeypatch, {"order": services["order"].service_url, "payment": "postgresql://x@127.0.0.1:1/payment"})
    text = console.get("/").content.decode()
    assert "Database payment is not reached" in text
    assert "Database order is not reached" not in text
    assert '<th scope="row">order</th>' in text
    assert console.get("/").status_code == 200


def test_a_lost_session_of_a_service_is_replaced_without_a_word(console, services, console_server):
    assert "not reached" not in console.get("/").content.decode()
    console_server.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'console'")
    assert "not reached" not in console.get("/").content.decode()


def test_the_overview_counts_what_is_open(console, services):
    note([(placed(uuid4()), 1)], datetime(2026, 1, 1, tzinfo=UTC))
    note(confirmed(uuid4()))
    text = console.get("/").content.decode()
    assert "Open orders</a><strong>1</strong>" in text
    assert 'longer than usual</a><strong class="warn">1</strong>' in text


def test_the_overview_says_what_the_doctor_says(console, services, monkeypatch):
    away = "postgresql://x@127.0.0.1:1/payment"
    shows(monkeypatch, {"order": services["order"].service_url, "payment": away}, doctor_seconds=0.1)

    def rows() -> list[str]:
        return re.findall(r'<tr class="finding">.*?</tr>', console.get("/").content.decode(), re.DOTALL)

    found = wait_until(rows, deadline_seconds=60, what="what is wrong")
    assert "database away" in found[0]
    assert "<td>payment</td>" in found[0]
    assert any("no relay" in row and "<td>order</td>" in row and "outbox status" in row for row in found)


def test_times_are_utc_until_a_script_says_them_in_the_viewers_zone(console, services):
    at = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
    for made in (ago(at), when(at)):
        assert 'datetime="2026-03-01T12:00:00+00:00"' in made
        assert 'title="2026-03-01 12:00:00 UTC"' in made


def test_a_static_file_is_kept_by_its_content_and_another_is_not_there(console):
    asset = assets()["console.css"]
    response = console.get(f"/static/{asset.path}")
    assert (response.status_code, response.headers["Content-Type"]) == (200, "text/css; charset=utf-8")
    assert "immutable" in response.headers["Cache-Control"]
    assert console.get("/static/console.000.css").status_code == 404


@pytest.mark.parametrize("address", ["/nowhere", "/static/../settings.py"])
def test_an_address_where_nothing_is_says_so(console, services, address):
    response = console.get(address)
    assert response.status_code == 404
    assert b"<h1>Not found</h1>" in response.content

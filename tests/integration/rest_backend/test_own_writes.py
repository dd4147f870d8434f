"""The page after a redirect shows what was written, though the service reads a standby that lags behind."""

import logging
import threading
from datetime import UTC, datetime

import pytest
from django.test import Client

from devstack.harness.wait import wait_until
from tests.support import collection_server
from tests.support.library.models import Author, Book
from tests.support.misbehaving import misbehaving
from tests.support.postgres import postgres_server
from waybill.rest_backend.middleware.own_writes import COOKIE

pytestmark = pytest.mark.usefixtures("pages")
WAITING = "SELECT 1 FROM pg_stat_activity WHERE query LIKE '%pg_last_wal_replay_lsn%' AND pid <> pg_backend_pid()"


@pytest.fixture(scope="module")
def servers():
    with postgres_server() as primary, primary.standby() as standby:
        yield primary, standby


@pytest.fixture(scope="module")
def reading_url(servers, tmp_path_factory):
    """A service that writes to the primary and reads the standby, in sessions of different time zones."""
    primary, standby = map(collection_server.postgresql, servers)
    databases = {"default": primary, "replica": standby | {"TIME_ZONE": "Asia/Tokyo"}}
    file = tmp_path_factory.mktemp("service") / "none"
    with collection_server.running(file, *collection_server.LIBRARY, databases=databases) as url:
        yield url


@pytest.fixture
def lagging(servers, connect, reading_url):
    """A standby that knows an author, and applies nothing more until it is told to."""
    primary, standby = servers
    connect(reading_url, models=["library"], wait=1)
    author = Author.objects.create(name="Ada")
    applied = "SELECT pg_last_wal_replay_lsn() >= %s"
    position = primary.execute("SELECT pg_current_wal_insert_lsn()::text")[0][0]
    wait_until(lambda: standby.execute(applied % f"'{position}'") == [(True,)], deadline_seconds=10, what="the standby")
    standby.execute("SELECT pg_wal_replay_pause()")
    paused = "SELECT pg_get_wal_replay_pause_state()"
    wait_until(lambda: standby.execute(paused) == [("paused",)], deadline_seconds=10, what="a paused standby")
    yield author
    standby.execute("SELECT pg_wal_replay_resume()")


def test_the_next_page_waits_until_the_service_shows_what_was_written(servers, connect, reading_url, lagging, client):
    standby = servers[1]
    connect(reading_url, models=["library"], wait=5)
    assert client.post("/books/new", {"title": "Notes", "author": lagging.pk, "pages": 3}).status_code == 302
    assert b"Notes" not in Client().get("/books").content
    pages = []
    reading = threading.Thread(target=lambda: pages.append(client.get("/books").content))
    reading.start()
    wait_until(lambda: standby.execute(WAITING), deadline_seconds=10, what="a read that waits")
    standby.execute("SELECT pg_wal_replay_resume()")
    reading.join()
    assert b"Notes" in pages[0]


def test_a_page_waits_no_longer_than_it_is_told_and_says_so_in_the_log(lagging, client, caplog):
    client.post("/books/new", {"title": "Engines", "author": lagging.pk, "pages": 3})
    with caplog.at_level(logging.WARNING, "waybill.rest_backend"):
        page = client.get("/books")
    assert (page.status_code, b"Engines" in page.content) == (200, False)
    assert "GET /library_book?limit=500&fields=" in caplog.text
    assert "was answered without an earlier write of the same session" in caplog.text


def test_a_row_has_one_version_in_the_sessions_of_the_standby_and_of_the_primary(connect, reading_url):
    connect(reading_url, models=["library"], wait=5)
    moment = datetime(2026, 1, 31, 12, tzinfo=UTC)
    made = Book.objects.create(title="Clocks", author=Author.objects.create(name="Ada"), published_at=moment)
    connect(reading_url, models=["library"], wait=5)
    read = wait_until(lambda: Book.objects.filter(pk=made.pk).first(), deadline_seconds=10, what="the standby")
    read.notes = "read"
    read.save()


def test_a_cookie_that_is_not_ours_is_passed_over(connect, client):
    with misbehaving() as service:
        connect(service.url, models=["library"])
        client.cookies[COOKIE] = "made-up:by:somebody"
        assert client.get("/books").status_code == 200
        assert "Consistency-Token" not in service.asked[0].headers

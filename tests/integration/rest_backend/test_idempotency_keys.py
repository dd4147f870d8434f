"""A POST with an Idempotency-Key acts once on PostgreSQL, whoever else comes with it, and whatever dies meanwhile."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from urllib.parse import urlsplit

import httpx2
import psutil
import psycopg
import pytest
from django.core.management import call_command
from django.db import connections

from devstack.harness.wait import wait_until
from tests.support import collection_server
from tests.support.postgres import postgres_server

LIBRARY = ("tests.support.library.urls", "tests.support.library")
BLOCKED = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
OLDER = "UPDATE waybill_idempotency_key SET created_at = created_at - interval '25 hours'"


@pytest.fixture(scope="module")
def server():
    with postgres_server() as started:
        yield started


@pytest.fixture
def start(server, tmp_path):
    """Start a service on the server's database, as often as it dies."""
    databases = {"default": collection_server.postgresql(server)}
    return lambda: collection_server.running(tmp_path / "none", *LIBRARY, databases=databases)


@pytest.fixture
def url(start, server):
    with start() as started:
        server.execute("TRUNCATE library_author, library_tag, waybill_idempotency_key CASCADE")
        yield started


@contextmanager
def nobody_writes(server):
    """Let whoever writes an author wait until the end."""
    with psycopg.connect(server.superuser_url) as connection:
        connection.execute("LOCK TABLE library_author IN SHARE MODE")
        yield


def post(url, name, key="k1"):
    return httpx2.post(f"{url}/library_author", json={"name": name}, headers={"Idempotency-Key": key}, timeout=20)


def authors(server):
    return [name for (name,) in server.execute("SELECT name FROM library_author ORDER BY id")]


def blocked(server, count):
    wait_until(lambda: server.execute(BLOCKED) == [(count,)], deadline_seconds=10, what=f"{count} blocked requests")


def test_of_two_at_once_the_second_waits_and_has_the_answer_of_the_first(server, url):
    with ThreadPoolExecutor(2) as threads:
        with nobody_writes(server):
            answers = [threads.submit(post, url, "Ada") for _ in range(2)]
            blocked(server, 2)
        first, second = (answer.result() for answer in answers)
    assert (first.status_code, first.json()) == (second.status_code, second.json())
    assert sorted("Idempotent-Replayed" in answer.headers for answer in (first, second)) == [False, True]
    assert authors(server) == ["Ada"]


def test_another_body_that_comes_meanwhile_is_refused(server, url):
    with ThreadPoolExecutor(2) as threads:
        with nobody_writes(server):
            first = threads.submit(post, url, "Ada")
            blocked(server, 1)
            second = threads.submit(post, url, "Bea")
            blocked(server, 2)
        assert (first.result().status_code, second.result().json()["code"]) == (201, "idempotency_key_reused")
    assert authors(server) == ["Ada"]


def test_a_service_that_is_killed_meanwhile_leaves_neither_row_nor_key(server, url, start):
    with ThreadPoolExecutor(1) as threads:
        with nobody_writes(server):
            lost = threads.submit(post, url, "Ada")
            blocked(server, 1)
            for child in psutil.Process().children():
                # By its port: the session's other services are children too.
                if any(one.laddr.port == urlsplit(url).port for one in child.net_connections("tcp")):
                    child.kill()
                    child.wait()
            assert isinstance(lost.exception(), httpx2.TransportError)
        with start() as again:
            answer = post(again, "Ada")
    assert (answer.status_code, "Idempotent-Replayed" in answer.headers) == (201, False)
    assert authors(server) == ["Ada"]


def test_a_request_that_was_refused_leaves_its_key_free(server, url):
    assert post(url, "x" * 51).status_code == 422
    assert post(url, "Ada").status_code == 201


def test_a_key_is_free_again_after_a_day(server, url):
    post(url, "Ada")
    assert post(url, "Bea").status_code == 422
    server.execute(OLDER)
    assert (post(url, "Bea").status_code, post(url, "Bea").headers["Idempotent-Replayed"]) == (201, "true")
    assert authors(server) == ["Ada", "Bea"]


def test_old_answers_are_removed_and_no_others(server, url, capsys):
    post(url, "Ada", "old")
    server.execute(OLDER)
    post(url, "Bea", "new")
    connections.settings["answers"] = connections.configure_settings(
        {"default": {}, "answers": collection_server.postgresql(server)}
    )["answers"]
    try:
        call_command("remove_old_answers", database="answers")
    finally:
        connections["answers"].close()
        del connections["answers"], connections.settings["answers"]
    assert "1 answers removed" in capsys.readouterr().out
    assert server.execute("SELECT key FROM waybill_idempotency_key") == [("new",)]


def test_a_unique_value_that_somebody_took_meanwhile_is_told_by_its_sqlstate(server, url):
    def tag():
        return httpx2.post(f"{url}/library_tag", json={"name": "red"}, timeout=20)

    with ThreadPoolExecutor(1) as threads, psycopg.connect(server.superuser_url) as connection:
        connection.execute("INSERT INTO library_tag (name) VALUES ('red')")
        answer = threads.submit(tag)
        blocked(server, 1)
        connection.commit()
        assert (answer.result().status_code, answer.result().json()["code"]) == (409, "already_exists")

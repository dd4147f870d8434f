"""Relays are paused and resumed, topics told, and history sent again, from the console."""

import re

import psycopg
import pytest
from django.urls import reverse

from tests.support.console import shows
from waybill.runtime.settings import _read


def text(client, address: str) -> str:
    response = client.get(address)
    assert response.status_code == 200, response.content.decode()
    return response.content.decode()


def act(client, name: str, **fields: str):
    """Ask for an action, look at its dry run, and execute it."""
    fields = {"reason": "the broker moves", **fields}
    dry = client.post(reverse(name), fields)
    assert dry.status_code == 200, dry.content.decode()
    seal = re.search(r'name="seal" value="([^"]+)"', dry.content.decode())[1]
    return dry.content.decode(), client.post(reverse(name), {**fields, "seal": seal})


def test_a_relay_is_paused_and_resumed_on_record(console, services):
    shown = text(console, "/relays")
    assert shown.count("Pause order: dry run") == 1
    assert '<th scope="row" id="payment">payment</th>' in shown
    dry, done = act(console, "relays-pause", service="order")
    assert ("The relay of order publishes nothing" in dry, done.status_code) == (True, 302)
    paused = text(console, "/relays")
    assert "by ann for" in paused
    assert "Resume order: dry run" in paused
    again = console.post(reverse("relays-pause"), {"service": "order", "reason": "why"})
    assert (again.status_code, b"is paused already, by ann" in again.content) == (422, True)
    act(console, "relays-resume", service="order")
    assert "Pause order: dry run" in text(console, "/relays")
    with psycopg.connect(services["order"].service_url) as session:
        verbs = session.execute("SELECT operator, verb FROM waybill_operator_action ORDER BY id").fetchall()
    assert verbs == [("ann", "pause"), ("ann", "resume")]


def test_a_gap_below_the_checkpoint_is_told(console, services):
    with psycopg.connect(services["order"].superuser_url, autocommit=True) as session:
        session.execute("UPDATE waybill_outbox_cursor SET position = 9, missing = '{4,4,6,7}', leader = 'host:7'")
    shown = text(console, "/relays")
    assert "4, 6..7" in shown
    assert "host:7" in shown


def test_a_broker_that_is_away_is_said_on_the_topics_screen(console, services, monkeypatch):
    monkeypatch.setenv("WAYBILL_KAFKA_BOOTSTRAP", "127.0.0.1:1")
    _read.cache_clear()
    shows(monkeypatch, {name: one.service_url for name, one in services.items()})
    assert "The broker is not reached" in text(console, "/topics")


def test_replays_are_listed_planned_and_given_up(console, services):
    assert "No replay yet" in text(console, "/replays")
    everything = {"service": "order", "reason": "why"}
    unchosen = console.post(reverse("replays-send"), everything)
    assert (unchosen.status_code, b"choose what to replay" in unchosen.content) == (422, True)
    nothing = console.post(reverse("replays-send"), {**everything, "positions": "1.."})
    assert (nothing.status_code, b"nothing to replay" in nothing.content) == (422, True)
    wrong = console.post(reverse("replays-send"), {**everything, "positions": "9..1"})
    assert (wrong.status_code, b"the range is empty" in wrong.content) == (422, True)
    with psycopg.connect(services["order"].superuser_url, autocommit=True) as session:
        session.execute(
            "INSERT INTO waybill_replay_job (id, chosen, first, last, total, sent, created_by, reason) VALUES"
            ' (\'0198c0de-7000-7000-8000-000000000001\', \'{"topics": {}, "without": "{}", "effects": false}\','
            " 1, 9, 9, 4, 'ana', 'the broker lost its tail')"
        )
    shown = text(console, "/replays")
    assert "4 of 9" in shown
    assert "Stopped: order, 4 of 9 sent" in shown
    job = {"service": "order", "job": "0198c0de-7000-7000-8000-000000000001"}
    dry, done = act(console, "replays-abandon", **job)
    assert ("4 of 9 events stay sent" in dry, done.status_code) == (True, 302)
    assert "abandoned" in text(console, "/replays")


@pytest.mark.parametrize("name", ["replays-resume", "replays-abandon", "redrives-resume", "redrives-abandon"])
def test_a_job_that_is_not_there_is_refused(console, services, name):
    for job in ("7", "0198c0de-7000-7000-8000-000000000009"):
        assert console.post(reverse(name), {"service": "order", "job": job, "reason": "why"}).status_code == 422

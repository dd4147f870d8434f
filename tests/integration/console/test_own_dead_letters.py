"""What the console itself could not read is a dead letter as any other: shown, counted and redriven."""

import re
from datetime import UTC, datetime
from uuid import UUID, uuid4

import psycopg
import pytest

from console_service.models import OrderRow
from console_service.service import service
from console_service.web import databases
from devstack.harness.wait import wait_until
from outbox_relay.operations.diagnosis.doctor import findings
from outbox_relay.operations.diagnosis.finding import Problem
from tests.support.console import message, shows
from tests.support.dead_letters import BROKEN
from tests.support.inbox import WRITERS
from tests.support.orders import placed
from tests.support.outbox_command import outbox, settings
from tests.support.redriving import repair
from waybill.consumer import handling, schema_ids
from waybill.runtime.settings import _read
from waybill.runtime.settings import settings as environment


@pytest.fixture
def own(console_database, monkeypatch):
    """The console's own database, among those that it shows."""
    shows(monkeypatch, {"console": console_database.service_url})
    with psycopg.connect(console_database.owner_url, autocommit=True) as owner:
        for schema_id, event in WRITERS.items():
            owner.execute("INSERT INTO waybill_schema_id VALUES (%s, 1, %s)", [event.event_type, schema_id])
    schema_ids._writers.cache_clear()
    yield console_database
    databases.close()
    _read.cache_clear()


def unread(database) -> UUID:
    """Let an order's first event be one that the console cannot read, and then be readable; returns the order's id."""
    event = placed(uuid4())
    handling.process(service, [message(event, 1, datetime.now(tz=UTC), BROKEN)], environment())
    assert not OrderRow.objects.filter(pk=event.order_id).exists()
    repair(database, event)
    return event.order_id


def text(client, address: str) -> str:
    response = client.get(address)
    assert response.status_code == 200, response.content.decode()
    return response.content.decode()


def test_they_are_shown_counted_and_redriven_on_its_screens(console, own):
    order_id = unread(own)
    assert re.search(r'service=console">1</a>', text(console, "/"))
    assert "needs none: it has never appended" in text(console, "/relays")
    listed = text(console, "/failures?service=console&kind=message")
    (address,) = set(re.findall(r'href="(/failures/console/[0-9a-f-]+)"', listed))
    assert str(order_id) in text(console, address)
    (until,) = re.findall(r'name="until" value="([^"]+)"', listed)
    fields = {"service": "console", "kind": "message", "until": until, "reason": "it can be read"}
    dry = console.post("/failures/do/redrive", fields).content.decode()
    assert "1 messages of console are handled again" in dry
    seal = re.search(r'name="seal" value="([^"]+)"', dry)[1]
    assert console.post("/failures/do/redrive", {**fields, "seal": seal}).status_code == 302
    read = OrderRow.objects.filter(pk=order_id)
    wait_until(read.exists, deadline_seconds=30, what="the order in the read model")
    assert "No dead letters." in text(console, "/failures")


def test_they_are_listed_and_redriven_in_a_terminal_too(own):
    order_id = unread(own)
    places = settings(console=own.service_url)
    (letter,) = outbox("dead-letters", "--service", "console", "--json", **places).lines()
    assert letter["key"] == str(order_id)
    done = outbox("redrive", "--service", "console", "--messages", "--reason", "it can be read", **places)
    assert (done.code, OrderRow.objects.filter(pk=order_id).exists()) == (0, True), done.err


def test_nothing_is_wrong_with_a_service_that_only_reads_and_has_no_relay_nor_rows_to_rebuild(own):
    with psycopg.connect(own.service_url, autocommit=True) as session:
        assert findings({"console": session}, {}) == []
    places = settings(console=own.service_url)
    asked = outbox("rebuild", "--check", "--service", "console", **places)
    assert (asked.code, "it has no rows that events fold to" in asked.err) == (2, True)
    assert outbox("rebuild", "--check", **places).code == 0
    unread(own)
    with psycopg.connect(own.service_url, autocommit=True) as session:
        assert [one.problem for one in findings({"console": session}, {})] == [Problem.DEAD_LETTERS]

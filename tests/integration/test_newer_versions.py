"""Events that a newer release wrote into the outbox, beside this one or before it was taken back."""

import json
from collections.abc import Iterator
from io import BytesIO
from uuid import uuid4

import psycopg
import pytest
from fastavro import schemaless_writer

from devstack.harness.databases import Server, ServiceDatabase
from order_service.service import service
from schemas.events import SOURCES, OrderPlaced
from tests.support.databases import in_use
from tests.support.orders import place
from tests.support.outbox_command import outbox as command
from tests.support.outbox_command import settings
from waybill.application import application
from waybill.deciders import rebuild
from waybill.deciders.unit_of_work import handle
from waybill.outbox import outbox
from waybill.tasks import deadlines

NEWER = OrderPlaced.schema_version + 1


@pytest.fixture
def database(own_databases: Server) -> Iterator[ServiceDatabase]:
    with own_databases.fresh("order_service") as fresh, in_use(fresh.service_url):
        yield fresh


def placed_by_a_newer_release(database: ServiceDatabase, *, registered: bool) -> str:
    """Place an order whose event has a field more than this release knows, and whose deadline has come."""
    order_id = uuid4()
    handle(service, [place(order_id)])
    (event,) = (one.event for one in outbox.history("order", str(order_id)))
    schema = json.loads(
        (application().schemas / SOURCES[OrderPlaced.event_type, OrderPlaced.schema_version]).read_text()
    )
    schema["fields"].append({"name": "gift_note", "type": "string", "default": ""})
    buffer = BytesIO()
    schemaless_writer(buffer, schema, {**event.to_avro(), "gift_note": "for ann"})
    with psycopg.connect(database.superuser_url) as session:
        session.execute("UPDATE waybill_outbox SET payload = %s, schema_version = %s", [buffer.getvalue(), NEWER])
        session.execute("UPDATE waybill_due_task SET due_at = clock_timestamp()")
        if registered:
            session.execute(
                "INSERT INTO waybill_schema_id (event_type, schema_version, schema_id, schema) "
                "VALUES (%s, %s, 4711, %s)",
                [OrderPlaced.event_type, NEWER, json.dumps(schema)],
            )
    return str(order_id)


def test_a_worker_reads_the_event_of_a_newer_release_by_its_registered_schema(database: ServiceDatabase):
    order_id = placed_by_a_newer_release(database, registered=True)
    (claimed,) = deadlines.claim({"expire_order": 1}, lease_seconds=30, retry_seconds=1)
    event = claimed.read()
    assert isinstance(event, OrderPlaced)
    assert str(event.order_id) == order_id
    assert outbox.history("order", order_id)[0].event == event
    different = []
    assert rebuild.check(service, rebuild.UNWATCHED, different.append) > 0
    assert different == []


def test_a_check_that_cannot_read_an_event_does_not_pass(database: ServiceDatabase):
    placed_by_a_newer_release(database, registered=False)
    done = command("rebuild", "--check", **settings(order=database.service_url))
    assert done.code == 4
    assert f"OrderPlaced v{NEWER}: known here up to v{NEWER - 1}; deploy the newer schemas" in done.err

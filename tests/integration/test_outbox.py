"""An event exists if and only if the state change it describes was committed."""

import json
from uuid import uuid4

import psycopg
import pytest
from django.db import connection, transaction

from order_service.models import OrderRow
from order_service.service import service
from schemas.events import OrderCancelled, OrderPlaced
from tests.support.orders import cause, place, placed
from waybill.contracts import codec
from waybill.deciders.unit_of_work import handle
from waybill.outbox import outbox
from waybill.outbox.outbox import Appended, AppendRefused


def rows():
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM waybill_outbox ORDER BY position")
        names = [column.name for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def test_row_and_event_commit_together(order_database):
    caused = place()
    handle(service, [caused])
    (row,) = rows()
    assert OrderRow.objects.get(pk=caused.command.order_id).version == row["aggregate_version"] == 1
    assert (row["topic"], row["aggregate_type"]) == ("order.events.v1", "order")
    assert row["aggregate_id"] == str(caused.command.order_id)
    event = codec.decode(row["event_type"], row["schema_version"], row["payload"])
    assert isinstance(event, OrderPlaced)
    assert json.loads(row["metadata"])["correlation_id"] == caused.cause.correlation_id


def test_a_rollback_leaves_neither_row_nor_event(order_database):
    def failing():
        with transaction.atomic():
            handle(service, [place()])
            raise RuntimeError("after the append")

    with pytest.raises(RuntimeError):
        failing()
    assert rows() == []
    assert not OrderRow.objects.exists()


def test_an_append_outside_a_transaction_is_refused(order_database):
    with pytest.raises(AppendRefused, match=r"with transaction\.atomic"):
        outbox.write([Appended(placed(), 1, cause())])
    assert rows() == []


def test_an_append_that_a_crash_could_remove_is_refused(order_database):
    with connection.cursor() as cursor:
        cursor.execute("SET synchronous_commit = off")
    with pytest.raises(AppendRefused, match="synchronous_commit"):
        handle(service, [place()])
    assert rows() == []


def test_an_event_that_breaks_its_contract_is_never_committed(order_database):
    broken = OrderCancelled(order_id=uuid4(), customer_id="ann", reason=None)
    with pytest.raises(codec.UnwritableEvent, match="reason"), transaction.atomic():
        outbox.write([Appended(broken, 1, cause())])
    assert rows() == []


def test_an_event_too_large_for_its_topic_is_never_committed(order_database):
    large = OrderCancelled(order_id=uuid4(), customer_id="ann", reason="x" * 1_100_000)
    with pytest.raises(AppendRefused, match="1048576"), transaction.atomic():
        outbox.write([Appended(large, 1, cause())])
    assert rows() == []


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE waybill_outbox SET topic = 'elsewhere'",
        "DELETE FROM waybill_outbox",
        "TRUNCATE waybill_outbox CASCADE",
        "SELECT setval('waybill_outbox_position_seq', 1)",
        "SELECT nextval('waybill_outbox_position_seq')",
        """INSERT INTO waybill_outbox (position, event_id, topic, aggregate_type, aggregate_id, aggregate_version,
                                       event_type, schema_version, payload, metadata)
           OVERRIDING SYSTEM VALUE VALUES (7, gen_random_uuid(), 't', 'order', 'a', 1, 'x', 1, '', '{}')""",
        "INSERT INTO waybill_outbox_cursor (id) VALUES (2)",
        "UPDATE waybill_outbox_cursor SET position = 99",
        "UPDATE waybill_schema_id SET schema_id = 1",
        "ALTER TABLE waybill_outbox ADD COLUMN status text",
    ],
)
def test_the_services_role_can_only_read_and_append(service_database, statement):
    with (
        psycopg.connect(service_database.service_url, autocommit=True) as session,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        session.execute(statement)


def test_positions_of_one_batch_follow_its_sequence(order_database):
    batch = [place() for _ in range(50)]
    handle(service, batch)
    assert [row["aggregate_id"] for row in rows()] == [str(caused.command.order_id) for caused in batch]


def test_the_history_reads_back_what_was_appended(order_database):
    caused = place()
    handle(service, [caused])
    (recorded,) = outbox.history("order", str(caused.command.order_id))
    assert recorded.version == 1
    assert recorded.event.lines == caused.command.lines

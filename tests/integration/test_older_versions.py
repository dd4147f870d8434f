"""Rows that an earlier release left in the outbox still fold, and today's code goes on from them."""

import json
from collections.abc import Iterator
from io import BytesIO
from uuid import UUID

import psycopg
import pytest
from fastavro import schemaless_writer

from devstack.harness.databases import Server, ServiceDatabase
from payment_service.domain import RecordCharge, RecordRefund, RequestPayment, ReturnPayment
from payment_service.models import PaymentRow
from payment_service.service import service
from schemas.events import SOURCES, PaymentCharged
from tests.support.databases import in_use
from tests.support.orders import cause
from waybill.application import application
from waybill.deciders import rebuild
from waybill.deciders.unit_of_work import Caused, handle
from waybill.observability.telemetry import new_id

ID = UUID(int=1)
TERMS = {"order_id": ID, "customer_id": "ann", "amount": 1999, "currency": "EUR"}
APPENDED = """
INSERT INTO waybill_outbox (event_id, topic, aggregate_type, aggregate_id, aggregate_version, event_type,
                    schema_version, payload, metadata)
VALUES (%s, 'payment.events.v1', 'payment', %s, 2, %s, 1, %s, '{}')
"""
# As a release did it that did not know of the column.
MOVED = "UPDATE payments SET status = 'CHARGED', charge_id = 'ch_old', version = 2 WHERE order_id = %s"


@pytest.fixture
def payments(database_server: Server) -> Iterator[ServiceDatabase]:
    with database_server.fresh("payment_service") as database, in_use(database.service_url):
        yield database


def do(command) -> PaymentRow:
    handle(service, [Caused(command, cause())])
    return PaymentRow.objects.get(pk=ID)


def differences() -> list[rebuild.Difference]:
    found: list[rebuild.Difference] = []
    rebuild.check(service, rebuild.UNWATCHED, found.append)
    return found


def charged_by_an_earlier_release(database: ServiceDatabase) -> None:
    schema = json.loads((application().schemas / SOURCES[PaymentCharged.event_type, 1]).read_text())
    buffer = BytesIO()
    schemaless_writer(buffer, schema, {**TERMS, "charge_id": "ch_old"})
    with psycopg.connect(database.service_url) as session:
        session.execute(APPENDED, [new_id(), str(ID), PaymentCharged.event_type, buffer.getvalue()])
        session.execute(MOVED, [ID])


@pytest.mark.slow
def test_a_charge_that_names_no_provider_folds_and_is_given_back(payments):
    do(RequestPayment(**TERMS, payment_method="tok_ok"))
    charged_by_an_earlier_release(payments)
    assert differences() == []
    assert do(ReturnPayment(order_id=ID)).status == "REFUNDING"
    assert do(RecordRefund(order_id=ID, refund_id="re_1")).status == "REFUNDED"
    row = PaymentRow.objects.get(pk=ID)
    assert (row.version, row.provider, row.charge_id) == (4, None, "ch_old")
    assert differences() == []


def test_a_row_that_forgot_whose_books_its_charge_stands_in_is_found(payments):
    do(RequestPayment(**TERMS, payment_method="tok_ok"))
    do(RecordCharge(order_id=ID, charge_id="ch_1", provider="simulator"))
    assert do(ReturnPayment(order_id=ID)).provider == "simulator"
    assert differences() == []
    with psycopg.connect(payments.service_url) as session:
        session.execute("UPDATE payments SET provider = NULL")
    (difference,) = differences()
    assert (difference.row, difference.fold) == ({"provider": None}, {"provider": "simulator"})

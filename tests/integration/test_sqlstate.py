"""The SQLSTATE decides what follows from a database error, whatever class the exception has."""

from collections.abc import Iterator

import psycopg
import pytest
from django.db import Error, connection, transaction

from devstack.harness.databases import ServiceDatabase
from order_service.domain import CancelOrder
from order_service.models import OrderRow
from order_service.service import service as orders
from tests.support.orders import cause, place
from waybill.database.sqlstate import ErrorClass, classify, may_succeed_at_once, may_succeed_later
from waybill.deciders import unit_of_work
from waybill.deciders.unit_of_work import Caused

BY_CODE = {
    "08006": ErrorClass.TRANSIENT,
    "0A000": ErrorClass.ENVIRONMENT,
    "22001": ErrorClass.RECORD,
    "23514": ErrorClass.RECORD,
    "25006": ErrorClass.WRONG_SERVER,
    "25P03": ErrorClass.TRANSIENT,
    "26000": ErrorClass.STALE_PLAN,
    "28P01": ErrorClass.ENVIRONMENT,
    "3D000": ErrorClass.ENVIRONMENT,
    "40001": ErrorClass.TRANSIENT,
    "40P01": ErrorClass.TRANSIENT,
    "42501": ErrorClass.ENVIRONMENT,
    "42703": ErrorClass.ENVIRONMENT,
    "42P01": ErrorClass.ENVIRONMENT,
    "42P05": ErrorClass.STALE_PLAN,
    "53100": ErrorClass.TRANSIENT,
    "53300": ErrorClass.TRANSIENT,
    "54000": ErrorClass.RECORD,
    "55P03": ErrorClass.TRANSIENT,
    "57014": ErrorClass.TRANSIENT,
    "57P01": ErrorClass.TRANSIENT,
    "58030": ErrorClass.ENVIRONMENT,
    "P0001": ErrorClass.RECORD,
    "XX001": ErrorClass.ENVIRONMENT,
}


def raised(statement: str) -> Exception:
    """What Django raises for a statement."""
    with pytest.raises(Error) as found, transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)
    return found.value


@pytest.fixture
def server(order_database: ServiceDatabase) -> Iterator[psycopg.Connection]:
    with psycopg.connect(order_database.superuser_url, autocommit=True) as session:
        yield session


@pytest.mark.parametrize("code", BY_CODE)
def test_the_code_decides(order_database: ServiceDatabase, code: str) -> None:
    error = raised(f"DO $$ BEGIN RAISE EXCEPTION 'told' USING ERRCODE = '{code}'; END $$")
    assert classify(error) is BY_CODE[code]
    assert may_succeed_later(error) is (BY_CODE[code] is not ErrorClass.RECORD)


def test_a_session_that_was_ended_is_transient(server: psycopg.Connection) -> None:
    raised("SELECT 1/0")
    server.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'test_service'")
    assert classify(raised("SELECT 1")) is ErrorClass.TRANSIENT
    connection.ensure_connection()
    connection.connection.close()
    assert classify(raised("SELECT 1")) is ErrorClass.TRANSIENT  # raised by the client


def test_a_number_that_an_identity_hands_out_twice_is_no_fault_of_the_record(server: psycopg.Connection) -> None:
    unit_of_work.handle(orders, [place()])
    server.execute("SELECT setval('waybill_outbox_position_seq', 1, false)")
    with pytest.raises(Error) as found:
        unit_of_work.handle(orders, [place()])
    assert classify(found.value) is ErrorClass.ENVIRONMENT


def test_a_key_that_is_too_long_for_its_index_is_a_fault_of_the_record(order_database: ServiceDatabase) -> None:
    random_text = "(SELECT string_agg(md5(n::text), '') FROM generate_series(1, 400) AS n)"
    statement = f"INSERT INTO prices (sku, unit_price, currency) SELECT {random_text}, 1, 'EUR'"
    assert classify(raised(statement)) is ErrorClass.RECORD


@pytest.mark.parametrize(
    ("change", "remedy"),
    [
        ("REVOKE SELECT ON orders FROM test_service", "GRANT SELECT ON orders TO test_service"),
        ("ALTER TABLE orders RENAME TO away", "ALTER TABLE away RENAME TO orders"),
        ("ALTER TABLE orders RENAME COLUMN status TO away", "ALTER TABLE orders RENAME COLUMN away TO status"),
    ],
)
def test_a_lost_right_table_or_column_is_the_environments(server: psycopg.Connection, change: str, remedy: str) -> None:
    server.execute(change)
    error = raised("SELECT status FROM orders")
    server.execute(remedy)
    assert classify(error) is ErrorClass.ENVIRONMENT


@pytest.mark.parametrize(("user", "database"), [("nobody", "postgres"), ("test_service", "no_such_database")])
def test_a_server_that_refuses_a_login_is_the_environments(
    order_database: ServiceDatabase, user: str, database: str
) -> None:
    parameters = psycopg.conninfo.conninfo_to_dict(order_database.service_url)
    with pytest.raises(psycopg.OperationalError) as found:
        psycopg.connect(**{**parameters, "user": user, "dbname": database})
    assert classify(found.value) is ErrorClass.ENVIRONMENT


def test_a_server_that_is_away_is_transient() -> None:
    with pytest.raises(psycopg.OperationalError) as found:
        psycopg.connect("postgresql://nobody@127.0.0.1:1/nothing", connect_timeout=2)
    assert classify(found.value) is ErrorClass.TRANSIENT


def test_a_value_that_cannot_be_sent_is_a_fault_of_the_record(order_database: ServiceDatabase) -> None:
    with pytest.raises(Error, match="NUL") as found, connection.cursor() as cursor:
        cursor.execute("SELECT %s::text", ["a\x00b"])
    assert classify(found.value) is ErrorClass.RECORD


def test_a_plan_that_a_migration_made_stale_is_prepared_anew(server: psycopg.Connection) -> None:
    placed = [place() for _ in range(6)]
    unit_of_work.handle(orders, placed)

    def cancel(which: Caused) -> None:
        unit_of_work.handle(orders, [Caused(CancelOrder(order_id=which.command.order_id), cause())])

    for one in placed[:-1]:
        cancel(one)  # the statement is prepared by the third
    server.execute("ALTER TABLE orders ALTER COLUMN customer_id TYPE varchar(500)")
    with pytest.raises(Error) as found, transaction.atomic():
        cancel(placed[-1])  # joins a transaction, which it cannot repeat
    assert classify(found.value) is ErrorClass.STALE_PLAN
    assert may_succeed_at_once(found.value)
    cancel(placed[-1])
    assert OrderRow.objects.get(pk=placed[-1].command.order_id).status == "CANCELLING"

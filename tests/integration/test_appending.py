"""append(): a project that locks nothing itself gets versions without holes, in the order of commits."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Barrier
from uuid import UUID, uuid4

import pytest
from django.core import checks
from django.db import connection, transaction

from order_service.models import OrderRow
from tests.support.orders import placed
from tests.support.outbox_command import execute
from waybill.outbox import AppendRefused, append
from waybill.testing import captured_events

VERSIONS = "SELECT aggregate_id, aggregate_version FROM waybill_outbox ORDER BY position"
WRITERS, EACH = 6, 20


def in_threads(work: Callable[[], object], writers: int = WRITERS) -> None:
    together = Barrier(writers)

    def run() -> None:
        try:
            together.wait(30)
            work()
        finally:
            connection.close()

    with ThreadPoolExecutor(writers) as pool:
        for done in [pool.submit(run) for _ in range(writers)]:
            done.result(120)


def test_concurrent_writers_get_versions_without_holes_and_positions_rise_with_them(order_database):
    orders = [uuid4(), uuid4()]

    def write() -> None:
        for number in range(EACH):
            with transaction.atomic():
                append(placed(orders[number % 2]), placed(orders[(number + 1) % 2]))

    in_threads(write)
    written = execute(order_database, VERSIONS)
    for order_id in orders:
        assert [version for key, version in written if key == str(order_id)] == list(range(1, WRITERS * EACH + 1))


def test_the_events_of_one_call_are_locked_in_one_sequence(order_database):
    one, other = uuid4(), uuid4()
    sequences = iter([(one, other), (other, one)] * WRITERS)

    def write() -> None:
        mine = next(sequences)
        for _ in range(EACH):
            with transaction.atomic():
                append(*map(placed, mine))

    in_threads(write, 4)  # a deadlock would raise


def test_a_savepoint_that_is_rolled_back_takes_its_event_and_version_with_it(order_database):
    order_id = uuid4()
    with captured_events() as events, transaction.atomic():
        append(placed(order_id))
        with transaction.atomic():
            append(placed(order_id))
            transaction.set_rollback(True)
        (second,) = append(placed(order_id))
    assert (second.version, events) == (2, [placed(order_id)] * 2)


def test_an_event_about_another_row_and_one_of_an_unsaved_row_are_refused(order_database):
    with transaction.atomic(), pytest.raises(AppendRefused, match=r"is about .*, and the aggregate given is 0000"):
        append(placed(), aggregate=OrderRow(order_id=UUID(int=1)))
    with transaction.atomic(), pytest.raises(AppendRefused, match="no primary key yet"):
        append(placed(), aggregate=OrderRow(order_id=None))


def test_outside_a_transaction_it_is_refused_also_in_the_one_that_a_test_case_opens(order_database):
    with pytest.raises(AppendRefused, match=r"with transaction\.atomic\(\)"):
        append(placed())
    of_a_test_case = transaction.atomic()
    of_a_test_case._from_testcase = True
    with of_a_test_case:
        with pytest.raises(AppendRefused):
            append(placed())
        with captured_events() as events, transaction.atomic():
            append(placed(order_id := uuid4()))
        assert events == [placed(order_id)]


def test_in_repeatable_read_an_append_behind_somebody_elses_is_refused_and_not_numbered_twice(order_database):
    order_id = uuid4()

    def write_elsewhere() -> None:
        with transaction.atomic():
            append(placed(order_id))
        connection.close()

    def write() -> None:
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
                cursor.execute("SELECT count(*) FROM waybill_outbox")
            with ThreadPoolExecutor(1) as pool:
                pool.submit(write_elsewhere).result(30)
            append(placed(order_id))

    with pytest.raises(AppendRefused, match="retry the transaction"):
        write()
    assert execute(order_database, VERSIONS) == [(str(order_id), 1)]


def test_the_events_of_one_transaction_share_a_correlation_id_and_no_other_has_it(order_database):
    with suppress(ZeroDivisionError), transaction.atomic():
        (undone,) = append(placed())
        raise ZeroDivisionError
    with transaction.atomic():
        (first,) = append(placed())
        with transaction.atomic():
            (second,) = append(placed())
    with transaction.atomic():
        (other,) = append(placed())
    assert first.cause == second.cause
    assert len({one.cause.correlation_id for one in (undone, first, other)}) == 3


def test_the_check_of_the_database_names_what_is_unsafe(order_database):
    def found() -> list[str]:
        return [message.id for message in checks.run_checks(tags=[checks.Tags.database], databases=["default"])]

    assert found() == []
    execute(order_database, "REVOKE ALL ON waybill_outbox_cursor FROM test_relay")
    with connection.cursor() as cursor:
        cursor.execute("SET synchronous_commit = off")
    assert found() == ["waybill.E006", "waybill.W002"]

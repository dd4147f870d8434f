"""Where a transaction joins several traces it has one of its own, with links; what is rolled back leaves no event."""

import secrets

from django.db import connection, transaction

from order_service.service import service as orders
from tests.support.inbox import message, process
from tests.support.orders import place, placed
from tests.support.recorded_spans import SAMPLED, recording
from waybill.deciders import unit_of_work
from waybill.deciders.unit_of_work import Caused
from waybill.observability.telemetry import Cause
from waybill.tracing import statements


def traceparent() -> str:
    return f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"


def trace_of(span) -> str:
    return f"{span.context.trace_id:032x}"


def outbox() -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT metadata->>'traceparent' FROM waybill_outbox ORDER BY position")
        return [row[0] for row in cursor.fetchall()]


def test_a_batch_has_a_trace_of_its_own_with_links_to_each_message_and_back(inventory):
    traces = [traceparent(), traceparent()]
    with recording() as kept:
        untraced = message(placed())
        process(*(message(placed(), traceparent=one) for one in traces), untraced)
        came = kept.get_finished_spans()
    (batch,) = [one for one in came if one.name == "batch inventory_service"]
    messages = [one for one in came if one.name == "process order.events.v1"]
    assert sorted(map(trace_of, messages)) == sorted(one[3:35] for one in traces)
    assert trace_of(batch) not in {*map(trace_of, messages)}
    assert {link.context.span_id for link in batch.links} == {one.context.span_id for one in messages}
    assert all(one.links[0].context.span_id == batch.context.span_id for one in messages)
    assert batch.attributes["messaging.batch.message_count"] == 3
    # Each event that follows is in its own message's trace, and the batch's handling in the batch's.
    appended = [one for one in came if one.name == "append StockReserved"]
    assert {(trace_of(one), one.parent.span_id) for one in appended} == {
        (trace_of(one), one.context.span_id) for one in messages
    }
    assert all(one.links[0].context.trace_id == batch.context.trace_id for one in appended)
    (handled,) = [one for one in came if one.name == "handle ReserveStock"]
    assert handled.parent.span_id == batch.context.span_id
    written = [one for one in outbox() if one]
    assert sorted(one[3:35] for one in written) == sorted(one[3:35] for one in traces)
    assert {one[36:52] for one in written} == {f"{one.context.span_id:016x}" for one in appended}


def test_a_message_that_cannot_be_handled_is_a_span_that_failed(inventory):
    with recording() as kept:
        process(message(placed(), value=b"no frame", traceparent=SAMPLED))
        failed = [one for one in kept.get_finished_spans() if one.name.startswith("process ")]
    assert failed
    assert {one.attributes["error.type"] for one in failed} == {"Unreadable"}


def test_what_is_rolled_back_leaves_no_span_of_an_event(order_database):
    caused = Caused(place().command, Cause("c1", traceparent=SAMPLED))
    with recording() as kept:
        with transaction.atomic():
            unit_of_work.handle(orders, [caused], new=True)
            transaction.set_rollback(True)
        assert [one.name for one in kept.get_finished_spans() if one.name.startswith("append ")] == []
        unit_of_work.handle(orders, [caused], new=True)
        (append,) = [one for one in kept.get_finished_spans() if one.name.startswith("append ")]
    assert f"{append.parent.span_id:016x}" == SAMPLED[36:52]
    assert append.attributes["waybill.aggregate_id"] == str(caused.command.order_id)


def test_statements_are_spans_within_a_span_and_nowhere_else(order_database):
    from waybill.tracing import spans

    with recording() as kept:
        statements.install()
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1")
                with spans.span("within", parent=SAMPLED):
                    cursor.execute("SELECT count(*) FROM waybill_outbox WHERE topic = %s", ["secret"])
        finally:
            connection.execute_wrappers.remove(statements._traced)
        statement, _ = kept.get_finished_spans()
    assert statement.name == "SELECT waybill_outbox"
    assert statement.attributes["db.query.text"].endswith("WHERE topic = %s")
    assert "secret" not in statement.to_json()

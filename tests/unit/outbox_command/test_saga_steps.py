"""What remains of an order, and why it waits, read off the saga's table and what the databases have."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from devstack.folder import CHECKOUT
from outbox_relay.operations.events.listing import ListedEvent
from outbox_relay.operations.sagas.causes import RUNBOOK, Cause, Why
from outbox_relay.operations.sagas.facts import Fact, Facts, Receipt, Received
from outbox_relay.operations.sagas.steps import distance, remaining
from outbox_relay.operations.sagas.story import in_sequence, position, stands
from outbox_relay.operations.sagas.why import why
from outbox_relay.operations.status import ProgramState, Status
from outbox_relay.operations.tasks.due import Due
from waybill.sagas.saga import Saga, read

SAGA = read(CHECKOUT / "schemas" / "saga.json")
TYPES = {one.name: one for one in SAGA.events}
NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
KEY = "0198c0de-7000-7000-8000-000000000001"


def event(name: str, version: int, minutes_ago: float = 10, **metadata: str) -> ListedEvent:
    """An event of the order, as its outbox has it."""
    one = TYPES[name]
    service = one.service.removesuffix("_service")
    at = NOW - timedelta(minutes=minutes_ago)
    return ListedEvent(
        service, version, uuid4(), one.topic, one.aggregate, KEY, version, one.event_type, 1, b"", metadata, at
    )


def fact(name: str, version: int, stands: str = "published", minutes_ago: float = 10, **receipts: Receipt) -> Fact:
    """An event and what became of it at each service that is named."""
    received = [
        Received(service, receipt, NOW, "a defect" if receipt is Receipt.DEAD_LETTER else None, 2, 7)
        for service, receipt in receipts.items()
    ]
    return Fact(event(name, version, minutes_ago), stands, None, received)


def due(task: str, service: str, of: Fact, attempts: int = 0, error: str | None = None, **more: datetime) -> Due:
    first, marked = NOW if attempts else None, more.get("attention")
    event_id = of.event.event_id
    return Due(service, 1, task, f"any/{KEY}", event_id, NOW, attempts, error, first, marked, "pay it back")


def facts(*events: Fact, due_tasks: Sequence[Due] = (), away: Sequence[str] = (), **states: Status | None) -> Facts:
    """What the databases have of the order."""
    return Facts(SAGA, {}, dict.fromkeys(away, "refused"), NOW, {KEY: list(events)}, {KEY: list(due_tasks)}, states)


def program(name: str, *, reason: str | None = None, silent_for: float = 1) -> ProgramState:
    return ProgramState(name, "1", "waiting" if reason else "working", reason, 60, silent_for, 100)


def state(*programs: ProgramState, paused: bool = False, takes_writes: bool = True) -> Status:
    """How a service does; with a relay that leads and a consumer that works unless others are named."""
    given = {one.program: one for one in (program("relay"), program("consumer"), *programs)}
    return Status(
        service="any",
        group="any_service",
        handles_only=False,
        unpublished=1,
        oldest_seconds=1,
        events_a_second=0,
        position=1,
        last=1,
        missing=[],
        dead_letter_publications=0,
        dead_letter_messages=0,
        jobs=0,
        attention=0,
        leader="one",
        heartbeat_seconds=given["relay"].heartbeat_seconds,
        takes_writes=takes_writes,
        programs=list(given.values()),
        missing_records=[],
        paused_by="ann" if paused else None,
        paused_for="a move" if paused else None,
        paused_since=NOW if paused else None,
    )


H, AWAITED, DEAD, UNKNOWN = Receipt.HANDLED, Receipt.AWAITED, Receipt.DEAD_LETTER, Receipt.UNKNOWN
PLACED = fact("OrderPlaced", 1, inventory=H)
RESERVED = [PLACED, fact("StockReserved", 1, order=H), fact("OrderReserved", 2, payment=H)]
REQUESTED = fact("PaymentRequested", 1, "private")
CHARGED = [*RESERVED, REQUESTED, fact("PaymentCharged", 2, order=H)]


def steps(*events: Fact) -> list[tuple[str, str | None, list[str], str | None]]:
    return [(one.on, one.task, list(one.makes), one.to) for one in remaining(SAGA, position(facts(*events), KEY))]


def test_a_placed_order_has_the_whole_way_to_confirmed_before_it():
    assert steps(fact("OrderPlaced", 1, inventory=AWAITED)) == [
        ("OrderPlaced", None, ["StockReserved"], None),
        ("StockReserved", None, ["OrderReserved"], "RESERVED"),
        ("OrderReserved", None, ["PaymentRequested"], None),
        ("PaymentRequested", "charge", ["PaymentCharged"], None),
        ("PaymentCharged", None, ["OrderCharged", "OrderConfirmed"], "CONFIRMED"),
        ("OrderConfirmed", None, ["StockCommitted"], None),
        ("OrderConfirmed", None, ["NotificationRequested"], None),
        ("NotificationRequested", "send", ["NotificationSent"], None),
    ]


def test_an_answer_that_is_on_its_way_leaves_its_receipt_alone():
    first, *_ = steps(PLACED, fact("StockReserved", 1, order=AWAITED))
    assert first == ("StockReserved", None, ["OrderReserved"], "RESERVED")


def test_what_may_come_instead_is_told_beside_each_step():
    told = remaining(SAGA, position(facts(*RESERVED, REQUESTED), KEY))
    assert [(one.on, one.otherwise) for one in told[:2]] == [
        ("PaymentRequested", ["PaymentDeclined"]),
        ("PaymentCharged", ["OrderCancellationStarted → CANCELLING"]),
    ]


def test_a_cancellation_waits_for_both_halves_and_ends_with_the_second():
    started = fact("OrderCancellationStarted", 3, inventory=AWAITED, payment=AWAITED)
    assert steps(*RESERVED, REQUESTED, started)[:5] == [
        ("OrderCancellationStarted", None, ["StockReleased"], None),
        ("StockReleased", None, ["OrderStockClosed"], "CANCELLING"),
        ("OrderCancellationStarted", None, ["PaymentVoidRequested"], None),
        ("PaymentVoidRequested", "void", ["PaymentVoided"], None),
        ("PaymentVoided", None, ["OrderCancelled"], "CANCELLED"),
    ]


def test_a_charge_that_was_cancelled_is_paid_back_and_never_charged_again():
    started = fact("OrderCancellationStarted", 3, inventory=H, payment=H)
    released = fact("StockReleased", 2, order=H)
    owed = fact("PaymentRefundRequested", 3, "private")
    assert steps(*CHARGED, started, released, owed)[:2] == [
        ("PaymentRefundRequested", "refund", ["PaymentRefunded"], None),
        ("PaymentRefunded", None, ["OrderCancelled"], "CANCELLED"),
    ]


def test_of_an_ended_order_only_what_others_have_not_heard_remains():
    confirmed = fact("OrderConfirmed", 4, inventory=H, notification=AWAITED)
    told = steps(*CHARGED, fact("OrderCharged", 3), confirmed)
    assert [on for on, *_ in told] == ["OrderConfirmed", "NotificationRequested"]


def test_the_wanted_end_is_nearer_than_any_other():
    order = ["CONFIRMED", "RESERVED", "PENDING", "CANCELLED", "CANCELLING"]
    assert sorted(SAGA.own.ends, key=lambda one: distance(SAGA, one)) == list(SAGA.own.ends)
    assert SAGA.own.ends[:2] == ["CONFIRMED", "CANCELLED"]
    assert sorted(order, key=lambda one: distance(SAGA, one))[-2:] == ["CANCELLED", "CANCELLING"]


def test_an_event_is_told_after_its_cause_whatever_the_clocks_say():
    cause = fact("OrderPlaced", 1, minutes_ago=1)
    answer = Fact(event("StockReserved", 1, 5, causation_id=str(cause.event.event_id)), "published", None)
    assert in_sequence([answer, cause]) == [cause, answer]


def test_a_step_is_as_old_as_the_event_that_began_it():
    started = fact("OrderCancellationStarted", 2, minutes_ago=8)
    closed = fact("OrderStockClosed", 3, minutes_ago=2)
    assert stands(facts(PLACED, started, closed), KEY) == ("CANCELLING", started.event.recorded_at)


def reason(status: str, *events: Fact, due_tasks: Sequence[Due] = (), away: Sequence[str] = (), **more: Status) -> Why:
    first, *_ = why(facts(*events, due_tasks=due_tasks, away=away, **more), KEY, status)
    return first


UNPUBLISHED = fact("OrderPlaced", 1, "waiting", inventory=AWAITED)
UNRECEIVED = fact("OrderPlaced", 1, inventory=AWAITED)


@pytest.mark.parametrize(
    ("cause", "said", "following", "events", "states"),
    [
        (
            Cause.RELAY_PAUSED,
            "paused by ann",
            "outbox resume --service order",
            UNPUBLISHED,
            {"order": state(paused=True)},
        ),
        (
            Cause.NO_RELAY,
            "no relay has a heartbeat",
            "outbox status --service order",
            UNPUBLISHED,
            {"order": state(program("relay", silent_for=60))},
        ),
        (
            Cause.BROKER_AWAY,
            "has waited for 60 s: broker",
            "outbox status --service order",
            UNPUBLISHED,
            {"order": state(program("relay", reason="broker: refused"))},
        ),
        (
            Cause.DATABASE_READ_ONLY,
            "takes no writes",
            "outbox status --service order",
            UNPUBLISHED,
            {"order": state(takes_writes=False)},
        ),
        (Cause.NOT_PUBLISHED, "it is behind", "outbox status --service order", UNPUBLISHED, {"order": state()}),
        (
            Cause.PUBLICATION_DEAD_LETTER,
            "the broker refused OrderPlaced",
            f"outbox redrive --service order --publications --key {KEY}",
            fact("OrderPlaced", 1, "dead letter: too large", inventory=AWAITED),
            {},
        ),
        (
            Cause.MESSAGE_DEAD_LETTER,
            "a dead letter at inventory, partition 2, offset 7: a defect",
            f"outbox redrive --service inventory --messages --key {KEY}",
            fact("OrderPlaced", 1, inventory=DEAD),
            {},
        ),
        (
            Cause.CONSUMER_AWAY,
            "consumer 1 is silent",
            "outbox status --service inventory",
            UNRECEIVED,
            {"inventory": state(program("consumer", silent_for=60))},
        ),
        (
            Cause.PROGRAM_WAITS,
            "has waited for 60 s: schema",
            "outbox status --service inventory",
            UNRECEIVED,
            {"inventory": state(program("consumer", reason="schema: unknown"))},
        ),
        (
            Cause.NOT_RECEIVED,
            "its consumer is behind",
            "outbox status --service inventory",
            UNRECEIVED,
            {"inventory": state()},
        ),
        (
            Cause.ON_ITS_WAY,
            "inventory has it in a moment",
            "outbox status --service inventory",
            fact("OrderPlaced", 1, minutes_ago=0.01, inventory=AWAITED),
            {"inventory": state()},
        ),
    ],
)
def test_a_pending_order_waits_for_the_stock_and_says_what_keeps_it(cause, said, following, events, states):
    told = reason("PENDING", events, **states)
    assert (told.cause, told.answers, told.answered_by) == (cause, ["StockReserved", "StockRejected"], "inventory")
    assert said in told.says
    assert told.next.startswith(following)


def test_a_reserved_order_waits_for_the_charge_that_fails():
    told = reason("RESERVED", *RESERVED, REQUESTED, due_tasks=[due("charge", "payment", REQUESTED, 3, "no answer")])
    assert (told.cause, told.service, told.task) == (Cause.TASK_FAILING, "payment", "charge")
    assert "charge has failed 3 times and is tried again by itself: no answer" in told.says


def test_a_task_that_needs_an_operator_comes_before_one_that_fails():
    started = fact("OrderCancellationStarted", 3, inventory=AWAITED, payment=H)
    owed = fact("PaymentRefundRequested", 3, "private")
    marked = due("refund", "payment", owed, 9, "refused", attention=NOW)
    told = why(facts(*CHARGED, started, owed, due_tasks=[marked], inventory=state()), KEY, "CANCELLING")
    assert [(one.cause, one.service) for one in told] == [
        (Cause.NEEDS_ATTENTION, "payment"),
        (Cause.NOT_RECEIVED, "inventory"),
    ]
    assert "pay it back" in told[0].says


def test_a_half_that_is_closed_is_not_awaited():
    started = fact("OrderCancellationStarted", 3, inventory=H, payment=AWAITED)
    told = why(facts(*RESERVED, started, fact("StockReleased", 2, order=H), payment=state()), KEY, "CANCELLING")
    assert [one.answered_by for one in told] == ["payment"]


def test_an_answer_that_is_a_dead_letter_at_the_order_is_what_keeps_it():
    told = reason("PENDING", PLACED, fact("StockReserved", 1, order=DEAD))
    assert (told.cause, told.service, told.event) == (Cause.MESSAGE_DEAD_LETTER, "order", "StockReserved")


def test_where_a_database_is_away_nobody_can_tell_and_it_says_which():
    told = reason("PENDING", fact("OrderPlaced", 1, inventory=UNKNOWN), away=["inventory"])
    assert (told.cause, told.service) == (Cause.DATABASE_AWAY, "inventory")


def test_where_all_was_received_and_nothing_is_due_it_says_that_nothing_is_found():
    told = reason("PENDING", PLACED)
    assert (told.cause, told.next.startswith("outbox verify")) == (Cause.NOTHING_FOUND, True)


def test_an_ended_order_waits_for_nothing():
    assert why(facts(PLACED), KEY, "CONFIRMED") == []


@pytest.mark.parametrize("cause", Cause)
def test_every_cause_leads_to_an_entry_of_the_runbook(cause: Cause):
    headings = [line.removeprefix("## ") for line in (CHECKOUT / "docs/runbook.md").read_text().splitlines()]
    anchors = {"".join(c for c in one.lower() if c.isalnum() or c in "- _").replace(" ", "-") for one in headings}
    assert RUNBOOK[cause] in anchors


def test_the_file_is_what_it_was_written_from():
    assert Saga.from_json(SAGA.in_json()) == SAGA


@pytest.mark.parametrize("text", ["[]", "{", '{"aggregate": "order"}'])
def test_what_is_no_saga_is_refused(text: str, tmp_path: Path):
    file = tmp_path / "saga.json"
    file.write_text(text)
    with pytest.raises(ValueError, match=r"no saga of this release|Expecting"):
        read(file)


def test_what_keeps_an_event_here_is_told_though_the_next_database_is_away():
    waits = fact("OrderPlaced", 1, "waiting", inventory=UNKNOWN)
    assert reason("PENDING", waits, away=["inventory"], order=state(paused=True)).cause == Cause.RELAY_PAUSED

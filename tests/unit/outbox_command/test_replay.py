"""How fast a replay goes, and how far back it may reach."""

import json
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from outbox_relay.operations.events.listing import Filter
from outbox_relay.operations.inbox_retention import ON_THE_WAY, InboxRetention, forgotten
from outbox_relay.operations.replay.options import Options
from outbox_relay.operations.replay.sending import BATCH_ROWS, Throttle

PLACED, LISTED = "waybill.order.OrderPlaced", "waybill.inventory.ProductListed"


@pytest.mark.slow
@pytest.mark.parametrize("rate", [1, 7, 10, 19, 25, 99, 500, 1_999, 100_000])
def test_no_second_has_more_events_than_the_rate_and_most_have_nearly_as_many(rate: int):
    throttle = Throttle(rate)
    now, left = 0.0, []
    while now < 3 and len(left) < 100 * rate:
        left += [now] * throttle.rows
        throttle.sent(now)
        now += throttle.wait_seconds(now)
    for start in {moment for moment in left if moment < 2}:
        assert 0.9 * rate <= sum(start <= moment < start + 0.999_999 for moment in left) <= rate


@pytest.mark.parametrize(
    "options",
    [
        Options(wanted=Filter(first=3, last=9), by="ana", reason="why"),
        Options(
            wanted=Filter("order", "0198", (PLACED, LISTED), since=datetime(2026, 1, 31, tzinfo=UTC), first=3, last=9),
            events=(uuid4(), uuid4()),
            to_consumer="order_service",
            reprocess=True,
            effects=True,
            rate=7,
            by="ana",
            reason="why",
        ),
    ],
)
def test_the_options_of_a_replay_come_back_from_its_jobs_row_as_they_were_given(options: Options):
    row = options.columns() | {"chosen": json.loads(json.dumps(options.chosen())), "first": 3, "last": 9}
    assert Options.of_row(row | {"created_by": row["by"]}) == options


def test_a_slow_stretch_is_not_made_up_for():
    throttle = Throttle(10)
    throttle.sent(0.0)
    throttle.sent(60.0)
    assert throttle.wait_seconds(60.0) == pytest.approx(0.1)


def test_without_a_rate_nothing_waits():
    throttle = Throttle(None)
    throttle.sent(1.0)
    assert (throttle.wait_seconds(1.0), throttle.rows) == (0.0, BATCH_ROWS)


def test_only_what_a_service_reacts_to_must_be_remembered_and_with_time_to_spare():
    retentions = [InboxRetention("inventory", frozenset({PLACED}), timedelta(days=3))]
    limit = datetime.now(UTC) - timedelta(days=3) + ON_THE_WAY
    before, after = limit - timedelta(minutes=1), limit + timedelta(minutes=1)
    assert forgotten(retentions, {PLACED: after, LISTED: before}) is None
    assert "inbox of inventory forgets after 3 days" in (forgotten(retentions, {PLACED: before}) or "")

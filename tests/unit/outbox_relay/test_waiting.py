"""When a relay reads its outbox again."""

import time
from collections.abc import Iterator

import pytest

from devstack.ports import HOST, choose
from outbox_relay.relay.waiting import IDLE_SECONDS, Schedule
from waybill.runtime import wake_up
from waybill.runtime.wake_up import WakeUpSignal

SOON, LATE = IDLE_SECONDS[True]


@pytest.fixture
def address() -> str:
    return f"{HOST}:{choose(('wake_up',), {}, {})['wake_up']}"


@pytest.fixture
def schedule(address: str) -> Iterator[Schedule]:
    with WakeUpSignal(address) as signals:
        yield Schedule(signals)


def soon(schedule: Schedule, *, rows: bool) -> bool:
    """Say whether the outbox is read again SOON after a reading that ended now."""
    schedule.after(rows=rows, full=False)
    return schedule._due_at - time.monotonic() <= SOON


def late(schedule: Schedule, *, rows: bool) -> bool:
    """Say whether it is read again LATE, not before."""
    ended = time.monotonic()
    schedule.after(rows=rows, full=False)
    return schedule._due_at - ended >= LATE


def signalled(schedule: Schedule, address: str) -> None:
    wake_up.send(address)
    schedule.listen(5)
    assert schedule.is_due


def test_after_rows_that_came_without_a_signal_the_next_may_too(schedule: Schedule):
    assert soon(schedule, rows=True)


def test_after_rows_that_were_signalled_the_next_will_be_too(schedule: Schedule, address: str):
    schedule.after(rows=False, full=False)
    signalled(schedule, address)
    assert late(schedule, rows=True)


def test_a_signal_that_comes_after_its_rows_counts(schedule: Schedule, address: str):
    schedule.after(rows=True, full=False)
    signalled(schedule, address)
    assert late(schedule, rows=False)


def test_rows_without_a_signal_end_the_trust_in_signals(schedule: Schedule, address: str):
    schedule.after(rows=False, full=False)
    signalled(schedule, address)
    schedule.after(rows=True, full=False)
    assert soon(schedule, rows=True)

"""A loop that is behind is noticed by its own ticks: threads stand back, and what begins is refused if it lasts."""

import asyncio
import threading
from collections.abc import Callable
from contextlib import contextmanager
from typing import Any

import pytest

from waybill.rest.serving.lag import LATE_SECONDS, PATIENCE_SECONDS, TICK_SECONDS, Lag

IN_TIME = TICK_SECONDS
LATE = TICK_SECONDS + LATE_SECONDS


class Loop:
    """The two calls of a loop that Lag makes, with a clock that the test moves."""

    def __init__(self) -> None:
        self.now = 0.0
        self.due: Callable[[], Any] | None = None

    def time(self) -> float:
        return self.now

    def call_later(self, _: float, tick: Callable[[], Any]) -> None:
        self.due = tick

    def tick_after(self, seconds: float) -> None:
        """Run the next tick so long after the last one."""
        self.now += seconds
        assert self.due is not None
        self.due()


@pytest.fixture
def loop(monkeypatch: pytest.MonkeyPatch) -> Loop:
    made = Loop()
    monkeypatch.setattr(asyncio, "get_running_loop", lambda: made)
    return made


@contextmanager
def standing_back(lag: Lag):
    """Let a thread ask whether it may begin; yields what is set once it may."""
    began = threading.Event()
    thread = threading.Thread(target=lambda: (lag.stand_back(), began.set()))
    thread.start()
    yield began
    thread.join()


def test_a_loop_that_ticks_in_time_holds_up_no_thread(loop: Loop):
    lag = Lag()
    for _ in range(100):
        loop.tick_after(IN_TIME)
    with standing_back(lag) as began:
        assert began.wait(10)
    assert not lag.lasts()


def test_one_late_tick_is_no_overload_and_ticks_that_stay_late_are(loop: Loop):
    lag = Lag()
    loop.tick_after(LATE)
    assert not lag.lasts()
    while loop.now <= PATIENCE_SECONDS:
        loop.tick_after(LATE)
    assert lag.lasts()
    loop.tick_after(IN_TIME)
    assert not lag.lasts()


def test_a_thread_stands_back_from_a_late_tick_until_one_is_in_time(loop: Loop, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("waybill.rest.serving.lag.STAND_BACK_SECONDS", 30.0)
    lag = Lag()
    loop.tick_after(LATE)
    with standing_back(lag) as began:
        assert not began.is_set()
        loop.tick_after(IN_TIME)
        assert began.wait(10)


def test_a_thread_stands_back_for_a_moment_at_most(loop: Loop, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("waybill.rest.serving.lag.STAND_BACK_SECONDS", 0.01)
    lag = Lag()
    loop.tick_after(LATE)
    with standing_back(lag) as began:
        assert began.wait(10)

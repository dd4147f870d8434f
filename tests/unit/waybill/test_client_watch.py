"""Which silence of a consumer's two Kafka clients ends its program, and which is that of an outage."""

from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from waybill.consumer import client_watch
from waybill.consumer.client_watch import HANGS_SECONDS, ClientWatch

LONG = int(HANGS_SECONDS) + 2
BACK_LATER = 20  # seconds by which one client is back before the other


class Ended(Exception):
    """The program would end here."""


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[SimpleNamespace]:
    def end(reason: str, _remedy: str) -> None:
        raise Ended(reason)

    now = SimpleNamespace(seconds=0.0)
    monkeypatch.setattr(client_watch, "time", SimpleNamespace(monotonic=lambda: now.seconds))
    monkeypatch.setattr(client_watch.watchdog, "end", end)
    return now


def watch(clock: SimpleNamespace, *spans: tuple[int, bool, bool]) -> None:
    """Look once a second while the consumer, the admin client are answered or not."""
    broker, starts = SimpleNamespace(answers=True), SimpleNamespace(is_answered=True, hears_nothing=False)
    clients = ClientWatch(broker, starts)
    for seconds, consumer, admin in spans:
        broker.answers, starts.is_answered, starts.hears_nothing = consumer, admin, not admin
        for _ in range(seconds):
            clock.seconds += 1
            clients.look()


@pytest.mark.parametrize(("consumer", "admin", "who"), [(False, True, "the consumer"), (True, False, "the admin")])
def test_one_that_hears_nothing_while_the_other_is_answered_ends_the_program(clock, consumer, admin, who):
    with pytest.raises(Ended, match=f"^{who} "):
        watch(clock, (5, True, True), (LONG, consumer, admin))


@pytest.mark.parametrize("first", [(True, False), (False, True)])
def test_an_outage_ends_nobody_whichever_is_back_first(clock, first):
    watch(clock, (600, False, False), (BACK_LATER, *first), (5, True, True), (600, False, False), (BACK_LATER, *first))


def test_both_silent_is_no_client_that_hangs(clock):
    watch(clock, (3_600, False, False))

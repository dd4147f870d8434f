"""A consumer outlives whatever the broker does."""

from threading import Event, Timer

import pytest

from console_service.service import service as console
from order_service.service import service
from waybill.consumer.loop import MESSAGE_SECONDS, _batch_interval, consume
from waybill.consumer.message import Message
from waybill.consumer.subscriber import SetSubscriber
from waybill.runtime.condition import Condition
from waybill.runtime.settings import Settings

NOWHERE = "127.0.0.1:1"
SETTINGS = Settings(database_url=f"postgresql://nobody@{NOWHERE}/nothing", kafka_bootstrap=NOWHERE)


def test_a_broker_that_is_away_does_not_end_the_consumer():
    stop = Event()
    timer = Timer(1, stop.set)  # librdkafka writes its first line at once
    timer.start()
    consume(service, SETTINGS, stop, Condition())
    timer.join()


def received(event_type):
    return Message("inventory.events.v1", 0, 0, b"key", (("ce_type", event_type.encode()),), b"", 0)


def test_the_next_batch_comes_the_later_the_more_messages_were_handled():
    handled = received("waybill.inventory.StockReserved")
    assert _batch_interval(service, [handled], SETTINGS) == pytest.approx(MESSAGE_SECONDS)
    assert _batch_interval(service, [handled, handled], SETTINGS) == pytest.approx(2 * MESSAGE_SECONDS)
    assert _batch_interval(service, [handled] * 1000, SETTINGS) == SETTINGS.batch_seconds


def test_who_only_shows_what_happened_gathers_more():
    handled = received("waybill.inventory.StockReserved")
    assert isinstance(console, SetSubscriber)
    assert _batch_interval(console, [handled], SETTINGS) == SETTINGS.batch_seconds


def test_messages_that_are_passed_delay_nothing():
    handled, passed = received("waybill.inventory.StockReserved"), received("waybill.inventory.StockReceived")
    assert _batch_interval(service, [handled, *[passed] * 10], SETTINGS) == pytest.approx(MESSAGE_SECONDS)

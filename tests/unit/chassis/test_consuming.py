"""A consumer outlives whatever the broker does."""

from threading import Event, Timer

from chassis.consumer import consume
from chassis.settings import Settings
from order_service.service import service

NOWHERE = "127.0.0.1:1"


def test_a_broker_that_is_away_does_not_end_the_consumer():
    stop = Event()
    timer = Timer(1, stop.set)  # librdkafka writes its first line at once
    timer.start()
    consume(service, Settings(database_url=f"postgresql://nobody@{NOWHERE}/nothing", kafka_bootstrap=NOWHERE), stop)
    timer.join()

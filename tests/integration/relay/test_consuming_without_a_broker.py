"""A consumer whose broker is away says so, and is ready again once that answers, whether or not there is a record."""

import math
import time
from collections.abc import Callable
from typing import NamedTuple

import pytest
from structlog.testing import capture_logs

from devstack.harness.wait import wait_until
from inventory_service.service import service as inventory
from tests.support.broker import Broker
from tests.support.consuming import consuming, on_topic
from tests.support.relays import make_topic
from waybill.observability import metrics
from waybill.runtime.condition import Condition


class Fault(NamedTuple):
    """What happens to the broker, and how it ends."""

    begins: Callable[[Broker], None]
    ends: Callable[[Broker], None]


FAULTS = {"stopped": Fault(Broker.kill, Broker.start), "frozen": Fault(Broker.freeze, Broker.thaw)}


def lag(topic: str) -> float:
    return metrics.metric("consumer_lag_seconds", topic=topic)._value.get()


def about_the_broker(condition: Condition) -> bool:
    return "broker: " in (condition.unready() or "")


@pytest.mark.slow
@pytest.mark.parametrize("name", FAULTS)
def test_a_consumer_without_its_broker_is_unready_and_ready_again_without_a_record(
    broker: Broker, inventory_database, name: str
):
    topic = make_topic(broker.bootstrap, partitions=1)
    with capture_logs() as lines, consuming(on_topic(inventory, topic), broker.bootstrap) as condition:
        wait_until(lambda: lag(topic) == 0, deadline_seconds=30, what="nothing to read")
        FAULTS[name].begins(broker)
        began = time.monotonic()
        wait_until(lambda: about_the_broker(condition), deadline_seconds=15, what="unready")
        wait_until(lambda: math.isnan(lag(topic)), deadline_seconds=5, what="a lag that nobody knows")
        assert time.monotonic() - began < 15
        FAULTS[name].ends(broker)
        wait_until(lambda: condition.unready() is None, deadline_seconds=30, what="ready")
        wait_until(lambda: lag(topic) == 0, deadline_seconds=30, what="nothing to read")
    told = [line["event"] for line in lines if "broker" in (line.get("waits_for"), line.get("waited_for"))]
    assert told == ["waiting", "recovered"]

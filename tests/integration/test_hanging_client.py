"""A consumer whose Kafka client hangs while the broker answers others is ended, so that it is started anew."""

import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from devstack.folder import CHECKOUT
from devstack.harness.databases import ServiceDatabase
from devstack.harness.wait import wait_until
from tests.support.broker import Broker
from tests.support.own_shop import make_topics_anew
from tests.support.providers.process import free_port
from waybill.runtime.watchdog import EXIT_CODE

DEADLINE_SECONDS = 60
# As the program, which waits for seconds in place of minutes; from some moment on its client is heard no more.
PROGRAM = """
import runpy, sys, time
from waybill.consumer import broker_health, starts
from waybill.runtime import watchdog
broker_health.HANGS_SECONDS, starts.WATCH_SECONDS, watchdog.PATIENCE_SECONDS = 3.0, 0.5, 2
note, until = broker_health.BrokerHealth.note, time.monotonic() + 8
broker_health.BrokerHealth.note = lambda self, said: note(self, said) if time.monotonic() < until else None
sys.argv = ["waybill", "inventory_service", "consumer"]
runpy.run_module("waybill", run_name="__main__")
"""


@pytest.fixture
def consumer(own_inventory: ServiceDatabase, broker: Broker, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    make_topics_anew(broker.bootstrap)
    port = free_port()
    told = {
        "WAYBILL_DATABASE_URL": own_inventory.service_url,
        "WAYBILL_KAFKA_BOOTSTRAP": broker.bootstrap,
        "WAYBILL_PORT": str(port),
        "WAYBILL_ENVIRONMENT": "development",
    }

    def ready() -> bool:
        with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:
            return answer.status == 200
        return False

    with (tmp_path / "log").open("wb") as log:
        program = subprocess.Popen(
            [sys.executable, "-c", PROGRAM], cwd=CHECKOUT, env=os.environ | told, stdout=log, stderr=log
        )
    try:
        wait_until(ready, deadline_seconds=DEADLINE_SECONDS, what="the consumer", seen=[tmp_path / "log"])
        yield program
    finally:
        program.kill()
        program.wait(10)


@pytest.mark.slow
def test_a_client_that_hears_nothing_of_a_broker_that_answers_ends_the_consumer(consumer: subprocess.Popen[bytes]):
    assert consumer.wait(DEADLINE_SECONDS) == EXIT_CODE

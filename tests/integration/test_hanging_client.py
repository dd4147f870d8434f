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
# The program, which waits for seconds in place of minutes; three seconds after the first answer one of its clients is
# heard no more.
PROGRAM = """
import os, runpy, sys, time
from confluent_kafka import KafkaError, KafkaException
from waybill.consumer import broker_health, client_watch, starts
broker_health.CURRENT_SECONDS, starts.WATCH_SECONDS, client_watch.HANGS_SECONDS = 3.0, 0.5, 3.0
note, topic_ids, hangs_from = broker_health.BrokerHealth.note, starts.topic_ids, []
def heard(client, call, *arguments):
    if client != os.environ["HANGS"] or not hangs_from or time.monotonic() < hangs_from[0]:
        return call(*arguments)
    if client == "admin client":
        raise KafkaException(KafkaError(KafkaError._TIMED_OUT))
def ask(asked):
    found = heard("admin client", topic_ids, asked)
    hangs_from.append(time.monotonic() + 3)
    return found
broker_health.BrokerHealth.note = lambda self, said: heard("consumer", note, self, said)
starts.topic_ids = ask
sys.argv = ["waybill", "inventory_service", "consumer"]
runpy.run_module("waybill", run_name="__main__")
"""


@pytest.fixture
def consumer(
    own_inventory: ServiceDatabase, broker: Broker, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[subprocess.Popen[bytes]]:
    make_topics_anew(broker.bootstrap)
    port = free_port()
    told = {
        "WAYBILL_DATABASE_URL": own_inventory.service_url,
        "WAYBILL_KAFKA_BOOTSTRAP": broker.bootstrap,
        "WAYBILL_PORT": str(port),
        "WAYBILL_ENVIRONMENT": "development",
        "HANGS": request.param,
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
@pytest.mark.parametrize("consumer", ["consumer", "admin client"], indirect=True)
def test_a_client_that_hears_nothing_of_a_broker_that_answers_the_other_ends_the_consumer(
    consumer: subprocess.Popen[bytes], tmp_path: Path
):
    assert consumer.wait(DEADLINE_SECONDS) == EXIT_CODE
    assert "program_hangs" in (tmp_path / "log").read_text()

"""The real consumer, in a thread of a test."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from uuid import uuid4

from django.db import connection

from waybill.consumer.loop import consume
from waybill.deciders.service import Service
from waybill.runtime.condition import Condition
from waybill.runtime.settings import settings


def on_topic(service: Service, topic: str) -> Service:
    """Return the service as a group of the test's own that reads this topic only."""
    own = replace(service, name=f"test-{uuid4().hex[:8]}")
    vars(own)["topics"] = [topic]
    return own


@contextmanager
def consuming(service: Service, bootstrap: str, **changed: Any) -> Iterator[Condition]:
    """Run the service's consumer, and give what readiness is told; `changed` are settings."""
    stop, condition = threading.Event(), Condition()
    told = settings().model_copy(update={"kafka_bootstrap": bootstrap, **changed})

    def run() -> None:
        try:
            consume(service, told, stop, condition)
        finally:
            connection.close()

    running = threading.Thread(target=run)
    running.start()
    try:
        yield condition
    finally:
        stop.set()
        running.join(30)
        assert not running.is_alive()

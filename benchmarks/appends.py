"""Events appended on and on to a log while something else is measured."""

import os
import statistics
import threading
import time
import uuid
from collections.abc import Callable
from typing import Final, Self

import psycopg

from benchmarks.long_log import LongLog
from schemas.events import OrderPlaced

APPEND: Final = """
INSERT INTO waybill_outbox (event_id, topic, aggregate_type, aggregate_id, aggregate_version, event_type,
                    schema_version, payload, metadata)
SELECT gen_random_uuid(), %s, 'order', aggregate_id, 1, %s, 1, %s, '{}' FROM unnest(%s::text[]) AS aggregate_id
"""


class Appender:
    """Append one event a transaction, on and on, and note how long each took."""

    def __init__(self, log: LongLog) -> None:
        """Begin at once."""
        self._log, self._stop = log, threading.Event()
        self.taken_ms: list[float] = []
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        with psycopg.connect(self._log.database.service_url, autocommit=True) as writer:
            while not self._stop.wait(0.002):
                began = time.perf_counter()
                append(writer, self._log, 1)
                self.taken_ms.append((time.perf_counter() - began) * 1000)

    def __enter__(self) -> Self:
        """Return it, under way."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End it."""
        self._stop.set()
        self._thread.join()


def append(writer: psycopg.Connection, log: LongLog, events: int) -> None:
    """Append so many events of as many new orders, in one statement."""
    payload = os.urandom(90)
    writer.execute(APPEND, (log.topic, OrderPlaced.event_type, payload, [str(uuid.uuid4()) for _ in range(events)]))


def measured(log: LongLog, work: Callable[[], object]) -> dict[str, float]:
    """Do something while events are appended; returns its seconds, and what the appends took meanwhile."""
    with Appender(log) as appender:
        time.sleep(0.5)  # appends go on alone before the work begins
        calm = len(appender.taken_ms)
        began = time.perf_counter()
        work()
        seconds = time.perf_counter() - began
    during = appender.taken_ms[calm:] or [0.0]
    return {
        "seconds": round(seconds, 3),
        "append_median_ms": round(statistics.median(during), 2),
        "append_longest_ms": round(max(during), 1),
    }

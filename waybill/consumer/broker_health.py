"""Whether the brokers answer a consumer, by librdkafka's statistics.

A healthy connection is never silent: a consumer that has nothing to read asks for records twice a second, and one
without a partition sends a heartbeat every three seconds. So a broker hangs that is connected and silent for longer,
and one is back as soon as it has answered, whether or not there is a record to read.

Rejected: asking for the metadata (`list_topics`), which blocks the poll loop for as long as the broker hangs.
"""

import json
import time
from typing import Final

from waybill.runtime.condition import Condition

STATISTICS_MS: Final = 1_000  # how often librdkafka reports; the longest that a broker's return is noticed late
CURRENT_SECONDS: Final = 5.0  # two heartbeats
SILENT_SECONDS: Final = 10.0  # three missed heartbeats; /readyz then names the broker


class BrokerHealth:
    """Hold when a broker was last heard, and tell the condition; used by the thread that polls."""

    def __init__(self, condition: Condition) -> None:
        """Count the silence from now on."""
        self._condition = condition
        self._heard_at = time.monotonic()
        self._connected = False
        self._refusal: str | None = None

    @property
    def answers(self) -> bool:
        """Say whether a broker answered in the last seconds: nothing to read means that all was read."""
        return self._connected and time.monotonic() - self._heard_at < CURRENT_SECONDS

    def note(self, statistics: str) -> None:
        """Take librdkafka's statistics, as JSON."""
        idle, now = idle_seconds(statistics), time.monotonic()
        self._connected = idle is not None
        if idle is not None:
            self._heard_at = max(self._heard_at, now - idle)
        silent = now - self._heard_at
        if silent > SILENT_SECONDS:
            self._condition.fails("broker", self._refusal or f"no answer for {silent:.0f} s")
        elif self._connected:
            self._refusal = None
            self._condition.recovered("broker")

    def down(self, reason: str) -> None:
        """Note that no broker takes a connection."""
        self._connected = False
        self._condition.fails("broker", self._refusal or reason)

    def refused(self, reason: str) -> None:
        """Note that a broker does not let us in, or that we do not trust it; others may still serve us."""
        self._refusal = reason
        if not self._connected:
            self._condition.fails("broker", reason, operator_needed=True)


def idle_seconds(statistics: str) -> float | None:
    """Return how long ago the last broker was heard that is connected; None where none is."""
    brokers = json.loads(statistics)["brokers"].values()
    heard = [one["rxidle"] for one in brokers if one["state"] == "UP" and one["rxidle"] >= 0]
    return min(heard) / 1e6 if heard else None

"""Our relay, as `python -m outbox_relay` with its defaults where nothing else is said."""

import sys
from typing import Final

from benchmarks.peers.process import Peer
from benchmarks.stage import Stage, execute
from devstack.harness.databases import ServiceDatabase
from devstack.harness.wait import wait_until
from devstack.ports import choose

SERVICE: Final = "order_service"
BEHIND: Final = """
SELECT count(*) FROM waybill_outbox_cursor
WHERE position < (SELECT max(position) FROM waybill_outbox)
"""
GAPS: Final = "SELECT cardinality(missing) FROM waybill_outbox_cursor"


class Relay(Peer):
    """One relay on one database."""

    def __init__(self, stage: Stage, database: ServiceDatabase, **more: str) -> None:
        ports = choose(["bench.relay", "bench.hint"], {}, {})
        self.wake_up = f"127.0.0.1:{ports['bench.hint']}"
        self.database = database
        environment = {
            "WAYBILL_SERVICE": SERVICE,
            "WAYBILL_DATABASE_URL": database.relay_url,
            "WAYBILL_KAFKA_BOOTSTRAP": stage.kafka,
            "WAYBILL_HOST": "127.0.0.1",
            "WAYBILL_PORT": str(ports["bench.relay"]),
            "WAYBILL_RELAY_WAKE_UP": self.wake_up,
            **more,
        }
        super().__init__("relay", [sys.executable, "-m", "outbox_relay"], environment, stage.folder / "relay.log")

    def settle(self) -> None:
        """Wait until it has made durable what it did."""
        self._wait(BEHIND)

    def forget_gaps(self) -> None:
        """Wait until no position is missing any more."""
        self._wait(GAPS)

    def _wait(self, query: str) -> None:
        wait_until(lambda: execute(self.database.superuser_url, query) == [(0,)], deadline_seconds=60, what=query)

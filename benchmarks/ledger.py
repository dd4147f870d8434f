"""The peak memory and the time of verify's comparison: `python -m benchmarks.ledger EVENTS`; a line of JSON.

The ledger alone, filled as an outbox and its topic fill it and asked all that verify asks, without database and broker.
"""

import json
import resource
import sys
import time
from collections import deque
from contextlib import closing
from uuid import UUID

from outbox_relay.operations.topics.topic import TopicRecord
from outbox_relay.operations.verify.faults import Fault
from outbox_relay.operations.verify.ledger import Committed, Ledger
from outbox_relay.operations.verify.topics import judge_sequence

BATCH = 1_000
KIND = "waybill.order.OrderPlaced"
TOPIC = "order.events.v1"


def main(events: int) -> None:
    """Fill, ask, and print."""
    before, start = _peak_mb(), time.monotonic()
    with closing(Ledger()) as ledger:
        for first in range(0, events, BATCH):
            ledger.commit("order", [_committed(n) for n in range(first, min(first + BATCH, events))])
        for first in range(0, events, BATCH):
            ledger.see([_record(n) for n in range(first, min(first + BATCH, events))])
        deque(ledger.unmatched(), 0)
        deque(ledger.absent(), 0)
        deque(ledger.ghosts(), 0)
        deque(ledger.of_types([KIND]), 0)
        judge_sequence(ledger.standing(), deque[Fault]().append)
    seconds = round(time.monotonic() - start, 1)
    print(json.dumps({"events": events, "seconds": seconds, "grown_mb": round(_peak_mb() - before, 1)}))


def _committed(n: int) -> Committed:
    return Committed(_id(n), n + 1, TOPIC, _key(n), n % 3 + 1, KIND, float(n), passed=True)


def _record(n: int) -> TopicRecord:
    return TopicRecord(
        TOPIC, n // 3 % 6, n, _key(n), UUID(bytes=_id(n)), n % 3 + 1, KIND, replayed=False, replay_target=None
    )


def _id(n: int) -> bytes:
    return n.to_bytes(6, "big") + b"\x70" + bytes(9)


def _key(n: int) -> str:
    return str(UUID(int=n // 3 * 0x9E3779B97F4A7C15F39CC0605CEDC834 % 2**128))


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main(int(sys.argv[1]))

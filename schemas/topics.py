"""The topics as data. No Kafka client is imported here: taking a request needs the sizes and must not need a broker.

What a topic is for decides its partitions, retention and sizes, which stand here. How many copies of a record there are
depends on the cluster, so that is a setting of the deployment (`Copies`).
"""

from dataclasses import dataclass
from typing import Final

FOR_EVER: Final = -1
_DAY_MS: Final = 24 * 60 * 60 * 1000


@dataclass(frozen=True, kw_only=True, slots=True)
class Topic:
    """A topic as it is meant: created so where it is missing; what exists is compared with it and never altered."""

    name: str
    partitions: int = 6
    """How many consumers of one service can share it. `outbox grow` adds some without taking keys out of order."""
    retention_ms: int = 14 * _DAY_MS
    """A subscriber may be away for a fortnight; older history comes from the outbox. FOR_EVER keeps all."""
    max_message_bytes: int = 1024 * 1024
    """The relay parks what is larger before it is sent."""

    @property
    def retention(self) -> str:
        """Tell how long records are kept."""
        return "kept for ever" if self.retention_ms == FOR_EVER else f"kept {self.retention_ms // _DAY_MS} days"

    def config(self) -> dict[str, str]:
        """Give the broker's settings of the topic."""
        return {
            # Never compact: an event is a change, and the last one of a key does not tell the others.
            "cleanup.policy": "delete",
            "retention.ms": str(self.retention_ms),
            # A cluster's own bound in bytes would end what is kept for its time, or for ever.
            "retention.bytes": "-1",
            "max.message.bytes": str(self.max_message_bytes),
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Copies:
    """How many copies of a record a deployment wants; None leaves it to the broker, where a single node has one."""

    replication: int | None = None
    """Brokers that keep a partition."""
    min_insync: int | None = None
    """Of these, how many must have a record before it is acknowledged; with fewer in sync, nothing is published."""

    def config(self) -> dict[str, str]:
        """Give the broker's settings of every topic."""
        return {} if self.min_insync is None else {"min.insync.replicas": str(self.min_insync)}


TOPICS: Final = (
    Topic(name="order.events.v1"),
    Topic(name="inventory.events.v1"),
    # A new subscriber builds its price list from the first event on.
    Topic(name="inventory.products.v1", retention_ms=FOR_EVER),
    Topic(name="payment.events.v1"),
    Topic(name="notification.events.v1"),
)

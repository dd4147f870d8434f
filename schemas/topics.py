"""The topics as data. No Kafka client is imported here: taking a request needs the sizes and must not need a broker."""

from dataclasses import dataclass
from typing import Final

FOR_EVER: Final = -1
_DAY_MS: Final = 24 * 60 * 60 * 1000


@dataclass(frozen=True, kw_only=True, slots=True)
class Topic:
    """A topic as it is created; what exists is never altered."""

    name: str
    partitions: int = 6
    """How many consumers of one service can share it; fixed, since with another number keys lose their order."""
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
            "cleanup.policy": "delete",
            "retention.ms": str(self.retention_ms),
            "max.message.bytes": str(self.max_message_bytes),
        }


TOPICS: Final = (
    Topic(name="order.events.v1"),
    Topic(name="inventory.events.v1"),
    # A new subscriber builds its price list from the first event on.
    Topic(name="inventory.products.v1", retention_ms=FOR_EVER),
    Topic(name="payment.events.v1"),
    Topic(name="notification.events.v1"),
)

"""A consumer has two Kafka clients: where one goes on hearing nothing while brokers answer the other, it ends itself.

A broker that was frozen and is fenced for it answers that there are topics and no brokers: librdkafka since 2.10 then
forgets all brokers, and may never ask for others (confluentinc/librdkafka#5301). Its `close()` may not return, so it is
not called. After an outage the one client is back before the other, so it has to last.
"""

import time
from typing import Final

from waybill.consumer.broker_health import BrokerHealth
from waybill.consumer.starts import Starts
from waybill.runtime import watchdog

HANGS_SECONDS: Final = 60.0  # several times what the slower client takes to be back after an outage
HANG_REMEDY: Final = "whoever watches this program starts it anew; a broker that was frozen or fenced is a known cause"


class ClientWatch:
    """Hold since when one hears nothing while the other is answered; used by the thread that polls."""

    def __init__(self, broker: BrokerHealth, starts: Starts) -> None:
        """Take who tells of the consumer, and who of the admin client."""
        self._broker, self._starts = broker, starts
        self._since: float | None = None

    def look(self) -> None:
        """Call it when a poll brought nothing, and so gave all that the client has to say."""
        consumer_hangs = self._starts.is_answered and not self._broker.answers
        admin_client_hangs = self._broker.answers and self._starts.hears_nothing
        if not (consumer_hangs or admin_client_hangs):
            self._since = None
        elif self._since is None:
            self._since = time.monotonic()
        elif time.monotonic() - self._since > HANGS_SECONDS:
            who = "consumer" if consumer_hangs else "admin client"
            watchdog.end(f"the {who} hears nothing of brokers that answer another client", HANG_REMEDY)

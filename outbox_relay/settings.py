"""What the relay is told by its environment (`WAYBILL_…`)."""

from dataclasses import dataclass
from typing import Self

from pydantic import Field, model_validator

from outbox_relay.databases import database_urls, short_name, values_by_service
from waybill.runtime.settings import DatabaseUrl, KafkaEnvironment, TelemetryEnvironment
from waybill.secret_settings import SecretText


@dataclass(frozen=True, slots=True)
class Outbox:
    """One database that a relay serves."""

    service: str
    database_url: str
    wake_up: str | None


class RelaySettings(KafkaEnvironment, TelemetryEnvironment):
    """Hold the settings of one relay process, which serves one database or several."""

    service: str | None = Field(
        default=None, min_length=1, description="Name of the service whose outbox this is: the records' ce_source."
    )
    database_url: DatabaseUrl | None = Field(
        default=None, description="PostgreSQL URL of that service's database, with the relay's role."
    )
    outbox_databases: SecretText | None = Field(
        default=None,
        description="In place of these two, several: order_service=postgresql://…,payment_service=postgresql://…; "
        "`order=` means order_service.",
    )
    host: str = Field(default="127.0.0.1", description="Address that /livez, /readyz and /metrics answer on.")
    port: int = Field(default=8000, ge=1, le=65535, description="Port of the same.")
    relay_wake_up: str | None = Field(
        default=None,
        description="host:port of the UDP socket to listen on for wake-up signals, order_service=host:port,… for "
        "several databases; None: poll every 20 ms at most.",
    )
    log_level: str = Field(default="info", description="debug, info, warning or error.")
    relay_batch_rows: int = Field(
        default=2_000, ge=1, le=20_000, description="Rows fetched at once; beyond 2,000 the rate gains nothing."
    )
    relay_batches_in_flight: int = Field(
        default=6,
        ge=1,
        le=20,
        description="Batches unacknowledged at once: with the rows above, the bound of memory and of what a kill "
        "repeats. With 2 the broker gets small requests, which costs a fifth of the rate.",
    )
    relay_transactions: bool = Field(
        default=False,
        description="A Kafka transaction a batch: a stale leader's copies are never read by a subscriber that reads "
        "committed records only. docs/relay.md tells the price.",
    )
    relay_stale_seconds: float = Field(
        default=6.0, ge=3, description="A heartbeat older than this is a frozen leader's; it is written every second."
    )
    relay_stop_seconds: float = Field(
        default=5.0, ge=0, description="Time for the batches in flight at a stop; then they are left to the next start."
    )
    relay_stall_seconds: float = Field(
        default=30.0, ge=1, description="No acknowledgement for this long: throw the producer away and build a new one."
    )
    relay_topic_grace_seconds: float = Field(
        default=10.0,
        ge=0,
        description="A topic unknown for this long is not to be created: its records become dead letters.",
    )

    @model_validator(mode="after")
    def _serves_something(self) -> Self:
        self.outboxes  # noqa: B018 - what is malformed ends the program at its start
        return self

    @property
    def outboxes(self) -> tuple[Outbox, ...]:
        """Return the databases to serve. Raises ValueError."""
        if self.outbox_databases is None:
            if self.service is None or self.database_url is None:
                raise ValueError("set WAYBILL_SERVICE and WAYBILL_DATABASE_URL, or WAYBILL_OUTBOX_DATABASES")
            return (Outbox(self.service, self.database_url, self.relay_wake_up),)
        urls = database_urls(self.outbox_databases)
        wake_ups = values_by_service("WAYBILL_RELAY_WAKE_UP", self.relay_wake_up) if self.relay_wake_up else {}
        if unknown := wake_ups.keys() - urls.keys():
            raise ValueError(
                f"WAYBILL_RELAY_WAKE_UP: no database is given for {', '.join(map(short_name, sorted(unknown)))}"
            )
        return tuple(Outbox(service, url, wake_ups.get(service)) for service, url in urls.items())

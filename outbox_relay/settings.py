"""What the relay is told by its environment (`WAYBILL_…`)."""

from pydantic import Field

from chassis.settings import Environment


class RelaySettings(Environment):
    """Hold the settings of one relay process, which serves one database."""

    service: str = Field(min_length=1, description="Name of the service whose outbox this is: the records' ce_source.")
    database_url: str = Field(description="PostgreSQL URL of that service's database, with the relay's role.")
    kafka_bootstrap: str = Field(default="127.0.0.1:9092", description="Kafka bootstrap servers, host:port[,…].")
    host: str = Field(default="127.0.0.1", description="Address that /livez, /readyz and /metrics answer on.")
    port: int = Field(default=8000, ge=1, le=65535, description="Port of the same.")
    relay_hint: str | None = Field(
        default=None, description="host:port of the UDP socket to listen on for hints; None: poll every 20 ms at most."
    )
    log_level: str = Field(default="info", description="debug, info, warning or error.")
    relay_batch_rows: int = Field(
        default=2_000, ge=1, le=20_000, description="Rows fetched at once; beyond 2,000 the rate gains nothing."
    )
    relay_batches_in_flight: int = Field(
        default=2, ge=1, le=20, description="Batches unacknowledged at once: with the rows above, the bound of memory."
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
        default=10.0, ge=0, description="A topic unknown for this long is not to be created: its records are parked."
    )

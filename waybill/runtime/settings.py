"""Typed settings, read from the environment (`WAYBILL_…`) once. Needs no Django."""

import base64
import re
from collections.abc import Mapping
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self, TypeVar

from pydantic import AfterValidator, Field, ValidationError, model_validator
from pydantic_settings import SettingsConfigDict

from waybill.database.postgres_client import check_url
from waybill.kafka.kafka_client import connection
from waybill.secret_settings import SECRET, Masked, SecretSettings

HOST: Final = re.compile(r"\*|\.?[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*|\[[0-9A-Fa-f:.]+\]")
HTTP_URL: Final = re.compile(r"https?://[^/?#\s]+(/[^?#\s]*)?")
FERNET_BYTES: Final = 32
LOOPBACK: Final = ("localhost", ".localhost", "127.0.0.1", "[::1]")
DatabaseUrl = Annotated[str, AfterValidator(check_url), AfterValidator(Masked), SECRET]


def _check_hosts(names: str) -> str:
    for name in filter(None, (one.strip() for one in names.split(","))):
        if not HOST.fullmatch(name):
            raise ValueError(f"{name!r} is no host name; give names without scheme and port, as in api.example.com")
    return names


def _check_keys(keys: str) -> str:
    for number, key in enumerate(keys.split(","), 1):
        try:
            good = len(base64.urlsafe_b64decode(key.strip())) == FERNET_BYTES
        except ValueError:
            good = False
        if not good:
            raise ValueError(f"key {number} is no Fernet key: {FERNET_BYTES} random bytes in URL-safe base64")
    return keys


def _check_endpoint(url: str) -> str:
    if not HTTP_URL.fullmatch(url):
        raise ValueError(f"{url!r} is no base URL of http or https, as in http://127.0.0.1:4318")
    return url


OtlpEndpoint = Annotated[str, AfterValidator(_check_endpoint)]
EncryptionKeys = Annotated[str, AfterValidator(_check_keys), AfterValidator(Masked), SECRET]
Hosts = Annotated[str, AfterValidator(_check_hosts)]


class Environment(SecretSettings):
    """Read every field from the variable of its name, in capitals, behind `WAYBILL_`."""

    model_config = SettingsConfigDict(env_prefix="WAYBILL_", frozen=True, extra="ignore")


class KafkaEnvironment(Environment):
    """Hold what every client of Kafka is told."""

    kafka_bootstrap: str = Field(default="127.0.0.1:9092", description="Kafka bootstrap servers, host:port[,…].")
    kafka_properties_file: str | None = Field(
        default=None,
        description="File with more properties of the Kafka client, `name=value` a line: `security.protocol`, "
        "`sasl.*`, `ssl.*` (librdkafka's names).",
    )

    @model_validator(mode="after")
    def _connects(self) -> Self:
        self.kafka  # noqa: B018 - a file that cannot be read ends the program at its start
        return self

    @property
    def kafka(self) -> Mapping[str, str]:
        """Return the options that every client of the broker starts from."""
        return connection(self.kafka_bootstrap, self.kafka_properties_file)


class TelemetryEnvironment(Environment):
    """Hold where a program's spans go."""

    otlp_endpoint: OtlpEndpoint | None = Field(
        default=None,
        description="Base URL of an OTLP receiver (HTTP, protobuf), such as http://127.0.0.1:4318: traces go there, to "
        "`/v1/traces`. None: no traces, unless OTEL_EXPORTER_OTLP_ENDPOINT is set. Needs the extra `telemetry`.",
    )
    trace_ratio: float = Field(
        default=0.1,
        ge=0,
        le=1,
        description="Share of the requests that begin a trace; one that comes with a trace is traced as its "
        "`traceparent` says.",
    )


class OutboxEnvironment(Environment):
    """Hold what whoever appends to an outbox is told."""

    relay_wake_up: str | None = Field(
        default=None, description="host:port or [IPv6]:port of the relay's UDP socket; lost without harm."
    )


class Deployment(Environment):
    """Whether anything can be lost where the program runs."""

    environment: Literal["production", "development"] = Field(
        default="production",
        description="`production`, or `development`, which is for systems where nothing can be lost, such as `make "
        "up`: there web also answers for this machine's loopback names, and a development issuer's tokens count, whose "
        "key is no secret.",
    )

    @property
    def in_development(self) -> bool:
        """Tell whether nothing can be lost here."""
        return self.environment == "development"


class Settings(KafkaEnvironment, OutboxEnvironment, TelemetryEnvironment, Deployment):
    """Hold what every program of a service is told by its environment."""

    service: str = Field(default="", description="Name of the service, as in `billing_service`.")
    database_url: DatabaseUrl = Field(
        description="PostgreSQL URL of the service's own database, with the program's role."
    )
    database_pooled: bool = Field(
        default=False,
        description="Whether a connection pooler in transaction mode (pgbouncer) stands between web, consumer and "
        "worker and the server.",
    )
    owner_database_url: DatabaseUrl | None = Field(
        default=None, description="The owner's URL; only `migrate` needs it."
    )
    service_role: str | None = Field(default=None, description="Role that `migrate` grants the service's rights to.")
    relay_role: str | None = Field(default=None, description="Role that `migrate` grants the relay's rights to.")
    registry_url: str | None = Field(default=None, description="Schema registry (Confluent API); not needed to run.")
    host: str = Field(default="127.0.0.1", description="Address that the program answers HTTP on, IPv4 or IPv6.")
    port: int = Field(default=8000, ge=1, le=65535, description="Port that the program answers HTTP on.")
    health_port: int = Field(
        default=9000,
        ge=1,
        le=65535,
        description="Port of a web program's /livez, /readyz and /metrics: for those who run it, not for clients. The "
        "other programs answer them on WAYBILL_PORT, and nothing else.",
    )
    allowed_hosts: Hosts = Field(
        default="",
        description="Host names that clients may ask for (`Host`), comma-separated; `.example.com` allows every name "
        "below it too, `*` any name, where a proxy in front checks them. In production web needs it.",
    )
    web_handover: Path | None = Field(
        default=None,
        description="Folder, of this user alone, where a web program hands its listening socket to the next one on the "
        "same port: both answer until the first is stopped, and no connection is lost. None: the port has to be free.",
    )
    # Each may hold a database session for the length of a request. More answer no more, since one interpreter runs one
    # at a time, and take it from the event loop (docs/decisions/0032).
    web_threads: int = Field(default=4, ge=1, description="Requests handled at once by one web process.")
    web_queue: int = Field(
        default=32,
        ge=0,
        description="Requests that may wait for a thread; any more are answered 503 at once, with Retry-After.",
    )
    # Their clients are told while they still listen, also where every thread hangs on a lock.
    web_queue_seconds: float = Field(
        default=1.0,
        gt=0,
        description="Longest that a request waits for a thread; then it is answered 503 and not begun.",
    )
    # More than one process can answer: it holds back a client that runs wild against several.
    rate_limit: int = Field(
        default=60_000,
        ge=0,
        description="Requests that one caller (a token's subject, or an address) may make within "
        "WAYBILL_RATE_LIMIT_SECONDS, to all web processes of the service together; any more are answered 429. 0: no "
        "limit.",
    )
    rate_limit_seconds: int = Field(default=60, ge=1, le=86_400, description="Length of that window.")
    worker_wake_up: str | None = Field(
        default=None, description="host:port or [IPv6]:port of the worker's UDP socket; lost without harm."
    )
    encryption_keys: EncryptionKeys | None = Field(
        default=None,
        description="Keys that encrypt the secrets which the database keeps (webhooks' secrets, answers to "
        "Idempotency-Keys), comma-separated; the first one encrypts, all decrypt. None: kept as they are.",
    )
    log_level: str = Field(default="info", description="debug, info, warning or error.")
    consumer_instance: str | None = Field(
        default=None,
        description="Name of this consumer within its group, kept over restarts: a killed one is back at once, where "
        "a nameless one is waited for (10 s). No two at a time may have the same.",
    )
    # A transaction of 200 costs little more than one of 20; a larger one would repeat more after a crash.
    batch_size: int = Field(default=200, ge=1, description="Messages that a consumer puts into one transaction.")
    # A saga crosses several consumers on its way, so this bounds what batching adds to its latency.
    batch_seconds: float = Field(
        default=0.1,
        ge=0,
        description="Longest pause of a consumer for more messages to come together; 10 ms for each that the last "
        "batch handled.",
    )
    # Longer than Kafka keeps the topics of events (14 days): whatever Kafka can deliver again is known.
    inbox_days: int = Field(default=30, ge=1, description="Days that a received message is remembered.")
    dead_letter_limit: float = Field(
        default=0.5,
        gt=0,
        le=1,
        description="Share of the last 100 messages' keys that may have dead letters before a consumer stops: "
        "so many bad events are a bad deployment. 1: never stop.",
    )
    # They wait for other systems most of the time, so they outnumber the cores.
    worker_threads: int = Field(
        default=16,
        ge=1,
        description="Attempts that one worker makes at once, of each task: one that hangs stops no other.",
    )
    worker_poll_seconds: float = Field(
        default=0.02,
        gt=0,
        description="Pause between two looks for due rows; a wake-up signal ends it. Longer where these come.",
    )
    worker_attempt_seconds: float = Field(
        default=10.0, gt=0, description="Longest that one attempt may take, with every call to the outside in it."
    )
    # Short, since a worker that died costs this delay; `_leases` checks it against an attempt.
    worker_lease_seconds: float = Field(
        default=15.0, gt=0, description="A claimed row is due again after this: must be longer than an attempt."
    )
    retry_seconds: float = Field(default=1.0, gt=0, description="Wait after a failed attempt; doubles up to 60 s.")
    attention_after: timedelta = Field(
        default=timedelta(days=1),
        description="ISO 8601 duration after which what is due and still fails needs an operator's attention.",
    )
    jwks_file: str | None = Field(
        default=None,
        description="JWKS with the issuer's public keys, as a file; read again within a second of its change.",
    )
    jwks_url: str | None = Field(default=None, description="The same, fetched in the background.")
    jwks_refresh_seconds: float = Field(
        default=60,
        gt=0,
        description="Time between two fetches of the JWKS: a key that the issuer removed is refused by then.",
    )
    jwks_max_age: timedelta = Field(
        default=timedelta(days=1),
        description="ISO 8601 duration for which the last keys fetched are used while the issuer does not answer.",
    )
    token_issuer: str = Field(default="waybill", description="`iss` that a bearer token must carry.")
    token_audience: str = Field(default="waybill", description="`aud` that a bearer token must carry.")
    api_license: str = Field(
        default="Apache-2.0",
        description="SPDX identifier of the licence that the API is offered under, as its OpenAPI document says.",
    )
    max_body_bytes: int = Field(default=1_000_000, ge=1, description="Largest request body taken.")

    @property
    def hosts(self) -> tuple[str, ...]:
        """Return the host names that are answered for, in lower case; none where nobody said."""
        given = [name.strip().lower() for name in self.allowed_hosts.split(",")]
        return (*filter(None, given), *(LOOPBACK if self.in_development else ()))

    @model_validator(mode="after")
    def _leases(self) -> Self:
        if self.worker_lease_seconds <= self.worker_attempt_seconds:
            raise ValueError(
                f"WAYBILL_WORKER_LEASE_SECONDS: {self.worker_lease_seconds:g} is not longer than an attempt may take "
                f"(WAYBILL_WORKER_ATTEMPT_SECONDS, {self.worker_attempt_seconds:g}): two workers would make one at once"
            )
        return self


SomeSettings = TypeVar("SomeSettings", bound=Environment)


def read(kind: type[SomeSettings], **given: Any) -> SomeSettings:
    """Return the settings of that kind; leaves the program with one line a variable that is missing or malformed.

    `given` are values that the environment does not decide.
    """
    found = _read(kind, **given)
    assert isinstance(found, kind)
    return found


@cache
def _read(kind: type[Environment], **given: Any) -> Environment:
    try:
        return kind(**given)
    except ValidationError as error:
        prefix = str(kind.model_config.get("env_prefix", ""))
        names = [".".join(map(str, e["loc"])).upper() for e in error.errors()]
        said = [e["msg"].removeprefix("Value error, ") for e in error.errors()]
        lines = [f"{prefix}{name}: {what}" if name else what for name, what in zip(names, said, strict=True)]
        raise SystemExit("\n".join(["cannot start, the environment is incomplete or malformed:", *lines])) from None


def settings() -> Settings:
    """Return this process's settings."""
    return read(Settings)

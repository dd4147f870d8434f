"""What the stack consists of, as data: programs that stay, steps that end, and what each one waits for.

    postgres ── databases ── *.migrate ─┬─ *.web, *.worker
    kafka ───── topics ─────────────────┼─ *.consumer
    registry ── schemas (needs migrate) ┴─ *.relay
    provider, mailbox                      need nothing
    gateway                                in front of *.web, and needs nothing
    otlp, zipkin, prometheus               behind all others, and nobody waits for them

Nothing here starts anything. `tier` is the order of stopping, highest first: the gateway, the services' programs, then
relays, then what they use.
"""

from __future__ import annotations

import hashlib
import os
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

from devstack.errors import DevstackError
from devstack.folder import CHECKOUT
from devstack.ports import HOST
from devstack.services import EVERY, OUTSIDE, SERVICES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

TELEMETRY = ("otlp", "zipkin", "prometheus")
GATEWAY = "gateway"
INFRASTRUCTURE = ("postgres", "kafka", "registry", *OUTSIDE)
CONFLUENT_API = "/apis/ccompat/v7"
CALLED = {f"{service.name}.worker": service.calls for service in EVERY.values() if service.calls}
ISSUER, AUDIENCE = "waybill-devstack", "waybill"


@dataclass(frozen=True, kw_only=True)
class Part:
    """A program that the supervisor keeps running; its name is the key in state.json."""

    name: str
    command: tuple[str, ...]
    probe: str  # http://… answers 200; tcp://… accepts; postgresql://… lets us in
    tier: int
    needs: frozenset[str] = frozenset()
    environment: Mapping[str, str] = field(default_factory=dict)
    deadline_seconds: float = 300
    stop_signal: str = "TERM"
    user: str = ""  # whom it runs as where that is not ourselves
    directory: Path = CHECKOUT
    awaited: bool = True  # False: the stack is ready without it


@dataclass(frozen=True, kw_only=True)
class Step:
    """Something that ends and must have succeeded; without a command it is a function of `stack.py`."""

    name: str
    needs: frozenset[str]
    command: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    deadline_seconds: float = 300
    kept_by_data: tuple[str, ...] = ()  # packages: while they and the lock are unchanged, once is enough


@dataclass(frozen=True, kw_only=True)
class Site:
    """Where this stack's parts are: what `plan` puts into commands and environments."""

    ports: Mapping[str, int]
    secrets: Mapping[str, str]
    jwks_file: Path
    data: Path
    given: Mapping[str, str] = field(default_factory=dict)  # postgres, kafka, registry → URL of one not ours
    log_level: str = "info"
    kafka_options: tuple[str, ...] = ()  # of Java, after ours
    sockets: Path | None = None  # where web programs hand over their ports

    def http(self, part: str) -> str:
        """Return the base URL of a part."""
        return f"http://{HOST}:{self.ports[part]}"

    def health_port(self, part: str) -> int:
        """Return the port on which a program tells of itself."""
        return self.ports.get(f"{part}.health", self.ports[part])

    @property
    def superuser(self) -> str:
        """Return the URL of the database server as its superuser."""
        own = f"postgresql://postgres:{self.secrets['postgres']}@{HOST}:{self.ports.get('postgres', 0)}/postgres"
        return self.given.get("postgres", own)

    @property
    def kafka(self) -> str:
        """Return Kafka's bootstrap address."""
        return self.given.get("kafka", f"{HOST}:{self.ports.get('kafka', 0)}")

    @property
    def registry(self) -> str:
        """Return the registry's base URL, without the path of its Confluent API."""
        own = f"http://{HOST}:{self.ports.get('registry', 0)}"
        return self.given.get("registry", own).rstrip("/").removesuffix(CONFLUENT_API)

    def database(self, service: str, role: str) -> str:
        """Return the URL of a service's database for one of its roles: owner, service or relay."""
        server = urlsplit(self.superuser)
        address = server.netloc.rpartition("@")[2]
        user = f"{service}_{role}"
        return urlunsplit(("postgresql", f"{user}:{self.secrets[user]}@{address}", f"/{service}", server.query, ""))


def port_names(chosen: Iterable[str]) -> list[str]:
    """Return what the named parts need ports for; a `.hint` is a UDP socket."""
    extra = {"kafka": ["kafka.controller"], "mailbox": ["mailbox.smtp"], GATEWAY: ["gateway.admin"]}
    extra |= {f"{service}.web": [f"{service}.web.health"] for service in EVERY}
    listed = [port for name in chosen for port in (name, *extra.get(name, ()))]
    hints = [f"{service}.hint" for service in services_of(listed)]
    return listed + hints + [f"{name}.hint" for name in listed if name.endswith(".worker")]


def names() -> tuple[str, ...]:
    """Return the name of every part."""
    programs = [f"{service.name}.{kind}" for service in EVERY.values() for kind in service.programs]
    return (*INFRASTRUCTURE, *programs)


def select(only: str, *, telemetry: bool = False, gateway: bool = False) -> tuple[str, ...]:
    """Return the parts that a comma-separated list names, with what they need; none named means all.

    Of the parts of telemetry those that are named, or all of them where all parts are asked for with `telemetry`; so
    is the gateway with `gateway`.

    A service's name stands for all of its programs.

    Raises:
        DevstackError: a name is unknown.

    """
    chosen: set[str] = set()
    for name in filter(None, (word.strip() for word in only.split(","))):
        matching = {part for part in (*names(), GATEWAY, *TELEMETRY) if name == part or part.startswith(f"{name}.")}
        if not matching:
            raise DevstackError(
                f"no part is called {name!r}; choose from {', '.join((*INFRASTRUCTURE, GATEWAY, *EVERY))}"
            )
        chosen |= matching
    if services_of(chosen):
        chosen |= {"postgres", "kafka", "registry"}
    chosen |= {CALLED[name] for name in chosen & CALLED.keys()}
    before = (GATEWAY,) if GATEWAY in chosen or (gateway and not chosen) else ()
    beside = tuple(part for part in TELEMETRY if part in chosen or (telemetry and not chosen))
    return tuple(part for part in names() if part in chosen or not chosen) + before + beside


def services_of(chosen: Iterable[str]) -> tuple[str, ...]:
    """Return the services of which a program was chosen."""
    first = {name.partition(".")[0] for name in chosen}
    return tuple(service for service in EVERY if service in first)


def programs_of(chosen: Iterable[str]) -> tuple[str, ...]:
    """Return the services' programs that were chosen."""
    return tuple(name for name in chosen if name.partition(".")[0] in EVERY)


def service_environment(site: Site, service: str, kind: str) -> dict[str, str]:
    """Return what one program of a service is told: every address, and the URL of its own role only."""
    environment = {
        "WAYBILL_SERVICE": f"{service}_service",
        "WAYBILL_KAFKA_BOOTSTRAP": site.kafka,
        "WAYBILL_REGISTRY_URL": site.registry + CONFLUENT_API,
        "WAYBILL_JWKS_FILE": str(site.jwks_file),
        "WAYBILL_ENVIRONMENT": "development",
        "WAYBILL_TOKEN_ISSUER": ISSUER,
        "WAYBILL_TOKEN_AUDIENCE": AUDIENCE,
        "WAYBILL_LOG_LEVEL": site.log_level,
    }
    if hint := site.ports.get(f"{service}.hint"):
        environment["WAYBILL_RELAY_WAKE_UP"] = f"{HOST}:{hint}"
    if hint := site.ports.get(f"{service}.worker.hint"):
        environment |= {"WAYBILL_WORKER_WAKE_UP": f"{HOST}:{hint}", "WAYBILL_WORKER_POLL_SECONDS": "0.2"}
    match EVERY[service].calls:
        case "provider" if "provider" in site.ports:
            environment["WAYBILL_PROVIDER_URL"] = site.http("provider")
        case "mailbox" if "mailbox.smtp" in site.ports:
            environment |= {"WAYBILL_SMTP_HOST": HOST, "WAYBILL_SMTP_PORT": str(site.ports["mailbox.smtp"])}
            # A developer's receiver stands on this machine.
            environment |= {"WAYBILL_WEBHOOK_ALLOW_HTTP": "true", "WAYBILL_WEBHOOK_ALLOW_PRIVATE": "true"}
    if kind == "migrate":
        environment |= _owners_environment(site, service)
    else:
        environment["WAYBILL_DATABASE_URL"] = site.database(service, "relay" if kind == "relay" else "service")
        if kind == "consumer":
            environment["WAYBILL_CONSUMER_INSTANCE"] = f"{service}.consumer"
        if "otlp" in site.ports and "WAYBILL_OTLP_ENDPOINT" not in os.environ:
            environment |= {"WAYBILL_OTLP_ENDPOINT": site.http("otlp"), "WAYBILL_TRACE_RATIO": "1"}
        environment |= {"WAYBILL_HOST": HOST, "WAYBILL_PORT": str(site.ports.get(f"{service}.{kind}", 0))}
        if health := site.ports.get(f"{service}.{kind}.health"):
            environment["WAYBILL_HEALTH_PORT"] = str(health)
        if kind == "web":
            environment |= of_web(site, service)
    return environment


def of_web(site: Site, service: str) -> dict[str, str]:
    """Return what a web program alone is told."""
    handover = {"WAYBILL_WEB_HANDOVER": str(site.sockets)} if site.sockets else {}
    if EVERY[service].decides:
        return handover
    # It shows, and mends, what stands in all of them.
    databases = (f"{one}={site.database(one, 'service')}" for one in (*SERVICES, service))
    return handover | {"WAYBILL_OUTBOX_DATABASES": ",".join(databases)}


def _owners_environment(site: Site, service: str) -> dict[str, str]:
    """Return what `migrate` is told: the owner's URL, and the roles that get rights."""
    owner = site.database(service, "owner")
    roles = {"WAYBILL_SERVICE_ROLE": f"{service}_service"}
    if "relay" in EVERY[service].programs:
        roles["WAYBILL_RELAY_ROLE"] = f"{service}_relay"
    return {"WAYBILL_DATABASE_URL": owner, "WAYBILL_OWNER_DATABASE_URL": owner, **roles}


def program(site: Site, service: str, kind: str) -> Part:
    """Return one program of a service."""
    name = f"{service}.{kind}"
    needs = {"web": (), "worker": (), "consumer": ("kafka", "topics"), "relay": ("kafka", "topics", "schemas")}[kind]
    is_relay = kind == "relay"
    own_program = kind == "web" and not EVERY[service].decides
    return Part(
        name=name,
        command=python("outbox_relay")
        if is_relay
        else python(*(() if own_program else ("waybill",)), f"{service}_service", kind),
        probe=f"http://{HOST}:{site.health_port(name)}/readyz",
        tier=2 if is_relay else 3,
        needs=frozenset({"postgres", f"{service}.migrate", *needs}),
        environment=service_environment(site, service, kind),
    )


def simulator(site: Site, name: str) -> Part:
    """Return a simulated external system: the payment provider, or the customers' mailbox."""
    file = site.data / f"{name}.sqlite"
    environment = {"STACK_HOST": HOST, "STACK_PORT": str(site.ports[name]), "STACK_FILE": str(file)}
    if name == "mailbox":
        environment["STACK_SMTP_PORT"] = str(site.ports["mailbox.smtp"])
    return Part(
        name=name,
        command=python(f"devstack.simulators.{name}"),
        probe=f"{site.http(name)}/livez",
        tier=1,
        environment=environment,
    )


def steps(site: Site, services: tuple[str, ...], running: frozenset[str]) -> list[Step]:
    """Return what must have been done before the services' programs may start."""
    migrated = frozenset(f"{service}.migrate" for service in services)
    owners = ",".join(site.database(service, "owner") for service in services)
    return [
        *(
            Step(
                name=f"{service}.migrate",
                needs=frozenset({"databases"}),
                command=python("waybill", f"{service}_service", "migrate"),
                environment=service_environment(site, service, "migrate"),
                kept_by_data=("waybill", f"{service}_service"),
            )
            for service in services
        ),
        Step(
            name="topics",
            needs=running & {"kafka"},
            command=python("waybill", "contracts", "topics"),
            environment={"WAYBILL_KAFKA_BOOTSTRAP": site.kafka},
            kept_by_data=("schemas", "waybill"),
        ),
        Step(
            name="schemas",
            needs=(running & {"registry"}) | migrated,
            command=python("waybill", "contracts", "register"),
            environment={
                "WAYBILL_REGISTRY_URL": site.registry + CONFLUENT_API,
                "WAYBILL_OWNER_DATABASE_URLS": owners,
            },
            kept_by_data=("schemas", "waybill"),
        ),
    ]


def digest(step: Step) -> str:
    """Return what changes when the step's code, its packages' versions or its command do."""
    # The path of the interpreter is this checkout's; the lock says its packages.
    found = hashlib.sha256("\0".join((*step.command[1:], *step.environment)).encode())
    sources = [path for package in step.kept_by_data for path in sorted((CHECKOUT / package).rglob("*.[pa]*"))]
    for path in (*sources, CHECKOUT / "uv.lock"):
        if path.suffix in {".py", ".avsc", ".lock"}:
            found.update(b"%s\0%s" % (path.name.encode(), path.read_bytes()))
    return found.hexdigest()


def python(*module: str) -> tuple[str, ...]:
    """Return the command that runs a module in this environment."""
    return (sys.executable, "-m", *module)


def inherited(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the user's environment as the stack's programs get it: without what would mislead them."""
    misleading = ("PG", "MAKE", "MFLAGS", "DJANGO_SETTINGS_MODULE", "PYTEST_", "SUPERVISOR_")
    return {name: value for name, value in environment.items() if not name.startswith(misleading)}

"""The parts of other files that follow from services.toml: `python -m devstack manifests`, run by `make docs`.

A part stands between a line that ends in `services.toml: NAME` and one that ends in `services.toml: end`, both comments
of the file's own language. What is outside of them is written by hand.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from devstack.errors import DevstackError
from devstack.folder import CHECKOUT
from devstack.services import EVERY, SERVICES, Service

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

PART = re.compile(r"^( *)# services\.toml: (\w+)\n(.*?)^ *# services\.toml: end\n", re.MULTILINE | re.DOTALL)
ROLES: Final = ("owner", "service", "relay")
FIRST_PORT: Final = 8001
WIDTH: Final = 116
# What a worker is told of the part of the outside that it calls.
ADDRESSES: Final = {
    "provider": ("WAYBILL_PROVIDER_URL: http://provider:8090",),
    "mailbox": ("WAYBILL_SMTP_HOST: mailbox", 'WAYBILL_SMTP_PORT: "1025"'),
}


def stale(services: Iterable[Service] = EVERY.values()) -> dict[Path, str]:
    """Return the files whose parts say something else than services.toml, with the text that they should have.

    Raises:
        DevstackError: a file has no such part.

    """
    every = tuple(services)
    found: dict[Path, str] = {}
    for name, parts in PARTS.items():
        path = CHECKOUT / name
        text = path.read_text()
        fresh = renewed(
            path, text, {part: "".join(f"{line}\n" for line in make(every)) for part, make in parts.items()}
        )
        if fresh != text:
            found[path] = fresh
    return found


def renewed(path: Path, text: str, parts: dict[str, str]) -> str:
    """Return the file's text with these parts."""
    if missing := parts.keys() - {name for _, name, _ in PART.findall(text)}:
        raise DevstackError(f"{path}: the part `# services.toml: {min(missing)}` … `# services.toml: end` is missing")

    def part(match: re.Match[str]) -> str:
        indent, name = match[1], match[2]
        if name not in parts:
            raise DevstackError(f"{path}: nothing is called `services.toml: {name}`; there are {', '.join(parts)}")
        return f"{indent}# services.toml: {name}\n{parts[name]}{indent}# services.toml: end\n"

    return PART.sub(part, text)


def listed(names: Iterable[str], indent: str = "    ") -> Iterator[str]:
    """Yield quoted names as lines of a TOML array."""
    line = indent
    for name in names:
        word = f'"{name}",'
        if line != indent and len(line) + len(word) >= WIDTH:
            yield line.rstrip()
            line = indent
        line += f"{word} "
    yield line.rstrip()


def packages(services: Iterable[Service]) -> Iterator[str]:
    """Yield the services' packages."""
    yield from listed(service.package for service in services)


def modules(*names: str) -> Callable[[Iterable[Service]], Iterator[str]]:
    """Return what yields these modules of every service."""
    return lambda services: listed(
        f"{service.package}.{name}" for service in services if service.decides for name in names
    )


def layers(services: Iterable[Service]) -> Iterator[str]:
    """Yield the layer of what only reads, on the operations, above that of the programs that stand side by side."""
    every = tuple(services)
    readers = [service.package for service in every if not service.decides]
    if readers:
        yield f'    "{" | ".join(readers)}",'
    yield f'    "{" | ".join([*(service.package for service in every if service.decides), "outbox_relay"])}",'


def readers(services: Iterable[Service]) -> Iterator[str]:
    """Yield what only reads."""
    yield from listed(service.package for service in services if not service.decides)


def deciders(services: Iterable[Service]) -> Iterator[str]:
    """Yield what it knows by its events alone."""
    yield from listed(service.package for service in services if service.decides)


def databases(services: Iterable[Service]) -> Iterator[str]:
    """Yield the URL of every role, as anchors."""
    for service in services:
        for role in ROLES:
            yield f"  {service.name}_{role}: &{service.name}-{role} >-"
            yield f"    {url(service, role)}"


def url(service: Service, role: str) -> str:
    """Return a role's URL; its password can be set in the environment."""
    password = f"${{{service.name.upper()}_{role.upper()}_PASSWORD:-{service.name}-{role}}}"
    return f"postgresql://{service.name}_{role}:{password}@postgres:5432/{service.name}"


def passwords(services: Iterable[Service]) -> Iterator[str]:
    """Yield what the script that makes the databases is told."""
    for service in services:
        for role in ROLES:
            variable = f"{service.name}_{role}_PASSWORD".upper()
            yield f"      {variable}: ${{{variable}:-{service.name}-{role}}}"


def registration(services: Iterable[Service]) -> Iterator[str]:
    """Yield in which databases the schemas' ids are kept."""
    urls = [url(service, "owner") for service in services]
    yield "      WAYBILL_OWNER_DATABASE_URLS: >-"
    yield from (f"        {one}{',' if one is not urls[-1] else ''}" for one in urls)


def migrated(services: Iterable[Service]) -> Iterator[str]:
    """Yield what registration waits for."""
    for service in services:
        yield f"      {service.name}-migrate: {{condition: service_completed_successfully}}"


def containers(services: Iterable[Service]) -> Iterator[str]:
    """Yield every program of every service."""
    for number, service in enumerate(services):
        if number:
            yield ""
        programs = PROGRAMS if service.decides else PROGRAMS | {"web": reading_web(service)}
        relay_role = RELAY_ROLE if "relay" in service.programs else ""
        text = MIGRATE.replace(RELAY_ROLE, relay_role) + "".join(programs[program] for program in service.programs)
        address = "".join(f"      {line}\n" for line in ADDRESSES.get(service.calls, ()))
        filled = text.replace("NAME", service.name).replace("PORT", str(FIRST_PORT + number))
        yield f"  # {service.package}\n"
        yield filled.replace("      ADDRESS\n", address).strip("\n")


RELAY_ROLE: Final = "      WAYBILL_RELAY_ROLE: NAME_relay\n"
MIGRATE: Final = f"""
  NAME-migrate:
    <<: *once
    command: [python, -m, waybill, NAME_service, migrate]
    environment:
      WAYBILL_DATABASE_URL: *NAME-owner
      WAYBILL_OWNER_DATABASE_URL: *NAME-owner
      WAYBILL_SERVICE_ROLE: NAME_service
{RELAY_ROLE}    depends_on:
      postgres: {{condition: service_healthy}}
"""
PROGRAMS: Final = {
    "web": """
  NAME-web:
    <<: *programs
    command: [python, -m, waybill, NAME_service, web]
    environment:
      <<: [*answers, *tokens]
      WAYBILL_DATABASE_URL: *NAME-service
    ports: ["127.0.0.1:PORT:8000"]
    volumes: ["jwks:/jwks:ro"]
    healthcheck: *web-ready
    depends_on:
      NAME-migrate: {condition: service_completed_successfully}
      issuer: {condition: service_completed_successfully}
""",
    "consumer": """
  NAME-consumer:
    <<: *programs
    command: [python, -m, waybill, NAME_service, consumer]
    environment:
      <<: [*answers, *kafka]
      WAYBILL_DATABASE_URL: *NAME-service
    healthcheck: *ready
    depends_on:
      NAME-migrate: {condition: service_completed_successfully}
      topics: {condition: service_completed_successfully}
""",
    "worker": """
  NAME-worker:
    <<: *programs
    command: [python, -m, waybill, NAME_service, worker]
    environment:
      <<: *answers
      WAYBILL_DATABASE_URL: *NAME-service
      ADDRESS
    healthcheck: *ready
    depends_on:
      NAME-migrate: {condition: service_completed_successfully}
""",
    "relay": """
  NAME-relay:
    <<: *programs
    command: [python, -m, outbox_relay]
    environment:
      <<: [*answers, *kafka]
      WAYBILL_SERVICE: NAME_service
      WAYBILL_DATABASE_URL: *NAME-relay
    healthcheck: *ready
    depends_on:
      NAME-migrate: {condition: service_completed_successfully}
      topics: {condition: service_completed_successfully}
      register: {condition: service_completed_successfully}
""",
}


def reading_web(reader: Service) -> str:
    """Return the web program of what decides nothing: it shows and mends what stands in all databases."""
    urls = [f"{service.name}={url(service, 'service')}" for service in (*SERVICES.values(), reader)]
    listed_urls = "".join(f"        {one}{',' if one is not urls[-1] else ''}\n" for one in urls)
    own = f"{PROGRAMS['web']}".replace("-m, waybill, NAME_service", "-m, NAME_service").replace(
        "*answers", "*answers, *kafka"
    )
    told = "      WAYBILL_DATABASE_URL: *NAME-service\n"
    return own.replace(told, f"{told}      WAYBILL_OUTBOX_DATABASES: >-\n{listed_urls}")


def backends(services: Iterable[Service]) -> Iterator[str]:
    """Yield where the gateway finds each web program in containers."""
    for service in services:
        yield f"  waybill-{service.name}/web: {service.name}-web:8000"


def namespaces(services: Iterable[Service]) -> Iterator[str]:
    """Yield the namespaces that the gateway may reach."""
    for service in services:
        label = f"{{kubernetes.io/metadata.name: waybill-{service.name}}}"
        yield f"        - namespaceSelector: {{matchLabels: {label}}}"


def grants(services: Iterable[Service]) -> Iterator[str]:
    """Yield what allows the gateway's routes to lead to each service."""
    for number, service in enumerate(services):
        if number:
            yield "---"
        yield from GRANT.replace("NAME", service.name).strip("\n").split("\n")


GRANT: Final = """
apiVersion: gateway.networking.k8s.io/v1
kind: ReferenceGrant
metadata: {name: from-gateway, namespace: waybill-NAME}
spec:
  from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: waybill-gateway}]
  to: [{group: "", kind: Service, name: web}]
"""
PARTS: Final[dict[str, dict[str, Callable[[Iterable[Service]], Iterator[str]]]]] = {
    "docker-compose.kafka.yml": {
        "databases": databases,
        "passwords": passwords,
        "registration": registration,
        "migrated": migrated,
        "containers": containers,
    },
    "deploy/gateway/sites/compose.yaml": {"backends": backends},
    "deploy/kubernetes/gateway/grants.yaml": {"grants": grants},
    "deploy/kubernetes/gateway/network.yaml": {"namespaces": namespaces},
    "deploy/Dockerfile": {
        "packages": lambda services: (f"COPY {service.package} {service.package}" for service in services),
    },
    "deploy/Dockerfile.dockerignore": {
        "packages": lambda services: (f"!{service.package}" for service in services),
    },
    "deploy/databases.sh": {
        "names": lambda services: (f"for service in {' '.join(service.name for service in services)}; do",),
    },
    "pyproject.toml": {
        "roots": packages,
        "layers": layers,
        "readers": readers,
        "deciders": deciders,
        "pure": modules("domain", "reactions"),
        "apis": modules("api"),
    },
}

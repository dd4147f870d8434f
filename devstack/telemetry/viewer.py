"""Zipkin: its server with its pages, spans in memory, behind a bridge that speaks OTLP."""

from __future__ import annotations

from typing import TYPE_CHECKING

from devstack.infrastructure.java import FIRST_COMPILER, java
from devstack.parts import Part, python
from devstack.ports import HOST

if TYPE_CHECKING:
    from pathlib import Path

    from devstack.parts import Site

MOST_SPANS = 40_000  # about 400 orders; the oldest traces go first
MEMORY = ("-Xms64m", "-Xmx192m", "-XX:MaxMetaspaceSize=128m", "-XX:+UseSerialGC", FIRST_COMPILER)


def viewer(site: Site, home: Path, after: frozenset[str]) -> Part:
    """Return Zipkin; nobody waits for it, and it starts behind the rest."""
    properties = {
        "armeria.ports[0].ip": HOST,
        "armeria.ports[0].port": str(site.ports["zipkin"]),
        "armeria.ports[0].protocols[0]": "http",
        "zipkin.storage.mem.max-spans": str(MOST_SPANS),
        "zipkin.self-tracing.enabled": "false",
    }
    return Part(
        name="zipkin",
        command=(
            *(java(), *MEMORY, *(f"-D{name}={value}" for name, value in properties.items())),
            *("-jar", str(next(home.glob("*.jar")))),
        ),
        probe=f"{site.http('zipkin')}/health",
        tier=1,
        needs=after,
        awaited=False,
    )


def bridge(site: Site) -> Part:
    """Return the receiver of OTLP in front of it."""
    told = {"STACK_HOST": HOST, "STACK_PORT": str(site.ports["otlp"]), "STACK_VIEWER": site.http("zipkin")}
    return Part(
        name="otlp",
        command=python("devstack.telemetry.bridge"),
        probe=f"{site.http('otlp')}/livez",
        tier=1,
        environment=told,
        awaited=False,
    )

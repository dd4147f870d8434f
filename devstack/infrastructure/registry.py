"""The Apicurio schema registry, which speaks Confluent's API."""

from __future__ import annotations

from typing import TYPE_CHECKING

from devstack.infrastructure.java import FIRST_COMPILER, java
from devstack.parts import CONFLUENT_API, Part
from devstack.ports import HOST

if TYPE_CHECKING:
    from pathlib import Path

    from devstack.folder import Folder
    from devstack.parts import Site


def part(site: Site, folder: Folder, home: Path, *options: str) -> Part:
    """Return the registry. Its ids must outlive it, since they are in every record: a file, written at each commit."""
    settings = {
        "java.awt.headless": "true",
        "java.util.logging.manager": "org.jboss.logmanager.LogManager",
        "quarkus.http.host": HOST,
        "quarkus.http.port": str(site.ports["registry"]),
        # Nobody needs the management port, and its default, 9000, would let one stack in.
        "quarkus.management.host": HOST,
        "quarkus.management.port": "0",
        "quarkus.http.access-log.enabled": "false",
        "apicurio.storage.kind": "sql",
        "apicurio.storage.sql.kind": "h2",
        "apicurio.datasource.url": f"jdbc:h2:file:{folder.data}/registry/registry;WRITE_DELAY=0",
    }
    properties = [f"-D{name}={value}" for name, value in settings.items()]
    return Part(
        name="registry",
        command=(
            *(java(), "-Xms128m", "-Xmx256m", "-XX:+UseSerialGC", FIRST_COMPILER),
            *(*options, *properties, "-jar", str(home / "quarkus-run.jar")),
        ),
        probe=f"{site.http('registry')}{CONFLUENT_API}/subjects",
        tier=1,
    )

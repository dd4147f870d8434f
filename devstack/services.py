"""Which services there are: services.toml, read once. Everything that lists them derives from here."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from devstack.errors import DevstackError
from devstack.folder import CHECKOUT

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

FILE: Final = CHECKOUT / "services.toml"
PROGRAMS: Final = ("web", "consumer", "worker", "relay")
OUTSIDE: Final = ("provider", "mailbox")
KEYS: Final = ("title", "topics", "programs", "calls", "decides")


@dataclass(frozen=True, kw_only=True)
class Service:
    """One entry of services.toml."""

    name: str
    title: str
    topics: tuple[str, ...]
    programs: tuple[str, ...]
    calls: str = ""  # the part of the simulated outside that its worker calls
    decides: bool = True  # else it only reads what the others write

    @property
    def package(self) -> str:
        """Return the name of its folder, which is also its name in events and metrics."""
        return f"{self.name}_service"


def read(file: Path) -> dict[str, Service]:
    """Return the services by name, in the file's order.

    Raises:
        DevstackError: the file says something that cannot be meant.

    """
    try:
        entries = tomllib.loads(file.read_text())
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise DevstackError(f"{file}: {error}") from error
    services = {name: _service(file, name, entry) for name, entry in entries.items()}
    writers: dict[str, str] = {}
    for service in services.values():
        for topic in service.topics:
            if (other := writers.setdefault(topic, service.name)) != service.name:
                raise DevstackError(
                    f"{file}: both [{other}] and [{service.name}] write {topic}; a topic has one writer"
                )
    return services


def _service(file: Path, name: str, entry: Any) -> Service:
    where = f"{file}: [{name}]"
    if not name.isidentifier() or not name.islower():
        raise DevstackError(f"{where}: a service's name is one word in lower-case letters, as in [order]")
    if not isinstance(entry, dict):
        raise DevstackError(f"{where}: expected a table with title, topics and programs")
    given: Mapping[str, Any] = entry
    if unknown := sorted(given.keys() - set(KEYS)):
        raise DevstackError(f"{where}: unknown key {unknown[0]!r}; there are {', '.join(KEYS[:-1])} and {KEYS[-1]}")
    if missing := sorted({"title", "topics", "programs"} - given.keys()):
        raise DevstackError(f"{where}: {missing[0]} is missing")
    programs = tuple(given["programs"])
    if wrong := [one for one in programs if one not in PROGRAMS]:
        raise DevstackError(f"{where}: no program is called {wrong[0]!r}; choose from {', '.join(PROGRAMS)}")
    calls = given.get("calls", "")
    if calls and (calls not in OUTSIDE or "worker" not in programs):
        raise DevstackError(f"{where}: calls is {calls!r}; a worker can call {' or '.join(OUTSIDE)}")
    decides = given.get("decides", True)
    if not decides and (given["topics"] or {"worker", "relay"} & set(programs)):
        raise DevstackError(f"{where}: what decides nothing writes no topics and has no worker and no relay")
    return Service(
        name=name,
        title=given["title"],
        topics=tuple(given["topics"]),
        programs=programs,
        calls=calls,
        decides=decides,
    )


EVERY: Final = read(FILE)
SERVICES: Final = {name: service for name, service in EVERY.items() if service.decides}
"""Those that decide: each has the same files, writes events, and is what pages and tests mean by a service."""

"""A copy of a publisher's schemas, from the registry, as the files that a consumer's project keeps.

Versions that are there already are compared and never overwritten: what a released file says must stay readable.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

from waybill.registry.reach import until_reached
from waybill.registry.registry import Access, RegistrationRefused, Registry


def pull(
    topics: Sequence[str], registry_url: str, folder: Path, deadline_seconds: float, access: Access | None = None
) -> list[str]:
    """Write every registered version of the topics' events into `folder`; give a line on each file. Safe to repeat.

    Nothing is written unless all of it can be. Blocks while the registry starts, up to the deadline.

    Raises:
        RegistrationRefused: A topic has no events there, a version is missing or no event of ours, a file says
            something else than the registry, or the registry does not take us.
        Unreachable: The registry did not answer before the deadline.
        OSError: A file cannot be read or written.

    """
    access = access or Access.given()
    with access.client(registry_url) as client:
        registry = Registry(client, registry_url, access)
        found = until_reached(registry.name, lambda: _read(registry, topics), deadline_seconds)
    missing: dict[Path, str] = {}
    lines: list[str] = []
    for name, schema in found.items():
        path = folder / name
        if not path.exists():
            missing[path] = f"{json.dumps(schema, ensure_ascii=False, indent=2)}\n"
        elif _parsed(path) != schema:
            raise RegistrationRefused(
                f"{path} differs from its version in {registry.name}; nothing was written. Remove the file to have the "
                "registry's, or put right which registry is asked"
            )
        lines.append(f"{name}: {'written' if path in missing else 'unchanged'}")
    for path, text in missing.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return lines


def _read(registry: Registry, topics: Sequence[str]) -> Mapping[str, Mapping[str, Any]]:
    """Return file name → schema of each version."""
    subjects = sorted(registry.call("GET", "/subjects"))
    found: dict[str, Mapping[str, Any]] = {}
    for topic in topics:
        # Topic and full name are joined by a hyphen, which no full name has and a topic may have.
        of_topic = [subject for subject in subjects if subject.rpartition("-")[0] == topic]
        if not of_topic:
            known = ", ".join(sorted({subject.rpartition("-")[0] for subject in subjects} - {""})) or "none"
            raise RegistrationRefused(f"{registry.name} has no events of topic {topic!r}; it has those of {known}")
        for subject in of_topic:
            found |= _versions(registry, topic, subject)
    return found


def _versions(registry: Registry, topic: str, subject: str) -> Mapping[str, Mapping[str, Any]]:
    path = f"/subjects/{quote(subject, safe='')}/versions"
    numbers = sorted(registry.call("GET", path))
    if numbers != list(range(1, len(numbers) + 1)):
        raise RegistrationRefused(
            f"{registry.name} has versions {numbers} of {subject}: some were deleted. Copy the publisher's folder "
            f"{topic} instead"
        )
    name = subject.rpartition(".")[2]
    return {f"{topic}/{name}.v{number}.avsc": _schema(registry, subject, f"{path}/{number}") for number in numbers}


def _schema(registry: Registry, subject: str, path: str) -> Mapping[str, Any]:
    schema: Any = json.loads(registry.call("GET", path)["schema"])
    if not (isinstance(schema, dict) and {"aggregate", "key"} <= cast("dict[str, Any]", schema).keys()):
        raise RegistrationRefused(f"{subject} in {registry.name} was not registered by Waybill: it has no key")
    return cast("dict[str, Any]", schema)


def _parsed(path: Path) -> object:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return None

"""Writes a new service into the project of the working directory, from the files below template/.

A template speaks of a `thing`, which becomes the service's name; `$word` stands for what depends on the project.
"""

import argparse
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Final
from uuid import UUID

from waybill.application import ApplicationUnknown, application, event_classes
from waybill.contracts import generate
from waybill.contracts.contracts import load
from waybill.contracts.event import Event
from waybill.contracts.fields import ContractError

TEMPLATES: Final = Path(__file__).parent / "template"
SUFFIX: Final = ".txt"  # so that no tool takes a template for what it becomes
SERVICES: Final = "services.toml"

REACTION: Final = """
from $events import $event
from thing_service.domain import OpenThing
from waybill.deciders.service import on


@on($event)
def $reaction(event: $event) -> OpenThing:
    \"\"\"Open the thing of the same id.\"\"\"
    return OpenThing(thing_id=event.$key)
"""
ENTRY: Final = """
[thing]
title = "Things"
topics = ["thing.events.v1"]
programs = [$listed]
"""
NEXT: Final = """\
{written} files written, and the module of event classes. Next:
  python -m waybill contracts release   once the two events are as they shall stay: they never change afterwards
  make docs                             or whatever writes the pages of this project
  make lint test
"""


class Refused(Exception):
    """Nothing was written; the message says why."""


@dataclass(frozen=True)
class Plan:
    """What is written: the name, and the event that it reacts to, where it does."""

    name: str
    event: type[Event] | None

    @property
    def programs(self) -> list[str]:
        """Return the programs; without a reaction there is nothing to consume."""
        return ["web", "consumer", "relay"] if self.event else ["web", "relay"]

    def text(self, template: str, more: Mapping[str, str]) -> str:
        """Fill a template."""
        filled = Template(template).safe_substitute(more)
        filled = filled.replace("Thing", self.name.title())
        return re.sub("(?<![a-z])thing", self.name, filled)  # not in `nothing`


def main(arguments: list[str] | None = None) -> int:
    """Write the service, print what comes next; 1 where it is refused. Raises SystemExit(2) on unknown arguments."""
    parser = argparse.ArgumentParser(prog="python -m waybill startservice", description=__doc__)
    parser.add_argument("name", help="one word in lower case, as in `billing`: becomes billing_service/")
    parser.add_argument("--on", metavar="EVENT", help="an event to react to, as in BookingMade: its key is a uuid")
    given = parser.parse_args(arguments)
    try:
        written = start(Path.cwd(), Plan(given.name, _event(given.on)))
    except (Refused, ApplicationUnknown, ContractError) as error:
        sys.stderr.write(f"startservice: {error}\n")
        return 1
    sys.stdout.write(NEXT.format(written=len(written)))
    return 0


def start(project: Path, plan: Plan) -> list[Path]:
    """Write the files of the service, and return them. Raises Refused, ApplicationUnknown or ContractError."""
    files = _files(project, plan)
    _refuse(project, plan, files)
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    services = project / SERVICES
    if services.is_file():
        with services.open("a", encoding="utf-8") as file:
            file.write(plan.text(ENTRY, {"listed": ", ".join(f'"{one}"' for one in plan.programs)}))
    for path, text in generate.stale().items():
        path.write_text(text, encoding="utf-8")
    _format([path for path in files if path.suffix == ".py"])
    return list(files)


def _format(paths: list[Path]) -> None:
    """Sort imports and wrap lines, which depend on the length of the name; where ruff is there."""
    for step in (["check", "--quiet", "--select", "I", "--fix"], ["format", "--quiet"]):
        subprocess.run([sys.executable, "-m", "ruff", *step, *paths], check=False, stderr=subprocess.DEVNULL)  # noqa: S603


def _refuse(project: Path, plan: Plan, files: Mapping[Path, str]) -> None:
    if not (plan.name.isascii() and plan.name.isalpha() and plan.name.islower()):
        raise Refused(f"{plan.name!r}: a service is named by one word in lower-case letters, as in billing")
    there = [path for path in (*files, project / f"{plan.name}_service") if path.exists()]
    if there:
        raise Refused(f"{there[0]} is there already; nothing was written")


def _files(project: Path, plan: Plan) -> dict[Path, str]:
    folders = {
        "service": project / f"{plan.name}_service",
        "schemas": application().schemas / f"{plan.name}.events.v1",
        "tests": project / "tests" / "unit" / f"{plan.name}_service",
        "docs": project / "docs" / "services",
    }
    more = _words(plan)
    files = {
        folders[part] / plan.text(str(path.relative_to(TEMPLATES / part)).removesuffix(SUFFIX), more): plan.text(
            path.read_text(encoding="utf-8"), more
        )
        for part in folders
        for path in sorted((TEMPLATES / part).rglob(f"*{SUFFIX}"))
    }
    return files | {folders["tests"] / "__init__.py": ""}


def _words(plan: Plan) -> dict[str, str]:
    contracts = load()
    root = contracts[0].event_type.split(".")[0] if contracts else (application().events or "").split(".")[0]
    words = {
        "events": str(application().events),
        "namespace": root,
        "topics_in": "none",
        "reactions": "",
        "programs": ", ".join(plan.programs),
    }
    if plan.event:
        name = plan.event.__name__
        told = {"events": words["events"], "event": name, "key": _key(plan.event), "reaction": _snake(name)}
        words |= {"topics_in": plan.event.topic or "", "reactions": Template(REACTION).substitute(told)}
    return words


def _event(name: str | None) -> type[Event] | None:
    if name is None:
        return None
    known = {event.__name__: event for event in event_classes().values() if event.topic}
    if name not in known:
        raise Refused(f"no event {name!r} is published; there are {', '.join(sorted(known))}")
    _key(known[name])
    return known[name]


def _key(event: type[Event]) -> str:
    """Return the field that holds the event's key. Raises Refused where that is no uuid."""
    (key,) = {contract.schema["key"] for contract in load() if contract.event_type == event.event_type}
    if event.__annotations__[key] is not UUID:
        raise Refused(f"the key of {event.__name__} is {key}, which is no uuid; react to another event")
    return key


def _snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("_")

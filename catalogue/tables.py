"""The tables of docs/services/*.md, settings.md, metrics.md and outbox-command.md, as the code has them.

A page has each table once; the text around it is written by hand.
"""

import ast
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from pydantic import TypeAdapter
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from pydantic_settings import BaseSettings

import catalogue.configured  # noqa: F401 # pyright: ignore[reportUnusedImport] - the services read their settings when imported
from devstack.folder import CHECKOUT
from devstack.services import EVERY, SERVICES
from outbox_relay.cli.command import verbs as all_verbs
from schemas.events import EVENTS
from waybill.contracts.topics import topics
from waybill.deciders.service import command_of
from waybill.observability.metrics import METRICS
from waybill.registry.registry import Access
from waybill.rest.http import endpoints as endpoints_of
from waybill.runtime.settings import Environment, Settings
from waybill.secret_settings import is_secret
from waybill.shadow.settings import ShadowSettings

DOCS: Final = CHECKOUT / "docs"
TABLE: Final = re.compile(r"(?:^\|.*\n)+", re.MULTILINE)
KEYS: Final = {"product": "SKU", "subscriber": "customer id", "delivery": "delivery id"}


def pages() -> dict[Path, str]:
    """Return the text of every page that has such tables, as it should be."""
    wanted = {
        DOCS / "services" / f"{name}.md": [
            *(table(name, mark) for mark in ("ENDPOINTS", "IN", "OUT", "SETTINGS")),
            *statuses(name),
        ]
        for name in SERVICES
    }
    wanted[DOCS / "settings.md"] = [table("settings", "SETTINGS"), variables(Access)]
    wanted |= {DOCS / f"{name}.md": [table(name, "SETTINGS")] for name, one in EVERY.items() if not one.decides}
    wanted[DOCS / "how-to" / "compare-before-you-move.md"] = [variables(ShadowSettings)]
    wanted[DOCS / "metrics.md"] = [metrics_table()]
    wanted[DOCS / "outbox-command.md"] = [verbs()]
    return {path: renewed(path, tables) for path, tables in wanted.items()}


def renewed(path: Path, tables: Sequence[str]) -> str:
    """Return the page with these tables in the place of those that they renew: same head, most rows in common.

    Raises:
        ValueError: The page has no table with that head.

    """
    text = path.read_text(encoding="utf-8")
    for fresh in tables:
        head, _, *rows = fresh.splitlines()
        old = [found for found in TABLE.findall(text) if found.splitlines()[0] == head]
        if not old:
            raise ValueError(f"{path}: no table begins with {head!r}; put one where it shall stand")
        firsts = {row.split("|")[1] for row in rows}
        place = max(old, key=lambda found: len(firsts & {row.split("|")[1] for row in found.splitlines()[2:]}))
        text = text.replace(place, f"{fresh}\n")
    return text


def table(service: str, mark: str) -> str:
    """Return one of a service's tables; `settings` in place of a service for what all share."""
    return {"SETTINGS": settings, "ENDPOINTS": endpoints, "IN": events_in, "OUT": events_out}[mark](service)


def settings(service: str) -> str:
    """Return the variables that configure a service, or all of them."""
    if service == "settings":
        kinds: Iterable[Any] = [Settings]
    else:
        kinds = vars(import_module(f"{service}_service.settings")).values()
    own = [k for k in kinds if isinstance(k, type) and issubclass(k, Environment) and k is not Environment]
    return variables(*own)


def variables(*kinds: type[BaseSettings]) -> str:
    """Return the variables of these classes."""
    lines = ["| Variable | Default | Meaning |", "|---|---|---|"]
    for kind in kinds:
        prefix = kind.model_config.get("env_prefix")
        for name, field in kind.model_fields.items():
            if kind is not Settings and name in Settings.model_fields:
                continue
            file = f" Or `{prefix}{name.upper()}_FILE`." if is_secret(field) else ""
            lines.append(f"| `{prefix}{name.upper()}` | {_default(field)} | {field.description}{file} |")
    return "\n".join(lines)


def _default(field: FieldInfo) -> str:
    value: Any = field.default
    if value is PydanticUndefined:
        return "required"
    if value in (None, ""):
        return "none"
    if isinstance(value, timedelta):
        return f"`{TypeAdapter(timedelta).dump_python(value, mode='json')}`"
    return f"`{json.dumps(value) if isinstance(value, tuple) else value}`"


def endpoints(service: str) -> str:
    """Return what the API offers."""
    router = import_module(f"{service}_service.api").router
    lines = ["| Endpoint | Does |", "|---|---|"]
    for path, operation in endpoints_of(router):
        does = (operation.view_func.__doc__ or "").splitlines()[0]
        lines += [f"| `{method} /v1{path}` | {does} |" for method in operation.methods]
    return "\n".join(lines)


def events_in(service: str) -> str:
    """Return the events that a service reacts to."""
    plan = import_module(f"{service}_service.service").service
    lines = ["| Event | From | Becomes | |", "|---|---|---|---|"]
    for event, reaction in plan.reaction_to.values():
        line = (reaction.__doc__ or "").splitlines()[0]
        lines.append(f"| {event.__name__} | `{event.topic}` | `{command_of(reaction).__name__}` | {line} |")
    return "\n".join(lines)


def events_out(service: str) -> str:
    """Return the events that a service writes."""
    plan = import_module(f"{service}_service.service").service
    lines = ["| Event | On | Key |", "|---|---|---|"]
    others = {topic.name for topic in topics() if topic.written_by}
    own = [kind for kind in EVENTS.values() if kind.aggregate_type in plan.tables and kind.topic not in others]
    for kind in sorted(own, key=lambda kind: (kind.topic is None, kind.topic, kind.__name__)):
        where = f"`{kind.topic}`" if kind.topic else "nothing: private"
        lines.append(f"| {kind.__name__} | {where} | {KEYS.get(kind.aggregate_type, 'order id')} |")
    return "\n".join(lines)


def metrics_table() -> str:
    """Return every metric, with its labels and the programs that show it."""
    lines = ["| Metric | Kind | Shown by | Means |", "|---|---|---|---|"]
    for name, metric in METRICS.items():
        labels = f"{{{','.join(metric.labels)}}}" if metric.labels else ""
        kind = metric.kind.__name__.lower()
        lines.append(f"| `{name}{labels}` | {kind} | {', '.join(metric.programs)} | {metric.meaning} |")
    return "\n".join(lines)


def verbs() -> str:
    """Return what the `outbox` command can do."""
    lines = ["| Verb | Does | Example |", "|---|---|---|"]
    lines += [f"| `{name}` | {verb.summary} | `{verb.example}` |" for name, verb in all_verbs().items()]
    return "\n".join(lines)


def statuses(service: str) -> list[str]:
    """Return the table of each `…Status` enum of the domain but for NONE: the docstrings of its members."""
    trees = [ast.parse(file.read_text(encoding="utf-8")) for file in domain_files(f"{service}_service")]
    declared = [node for tree in trees for node in tree.body if isinstance(node, ast.ClassDef)]
    kinds = [node for node in declared if node.name.endswith("Status")]
    return [
        "\n".join(
            [
                f"| {kind.name.removesuffix('Status') or 'Status'} | What it means, and who moves it on |",
                "|---|---|",
                *(f"| {name} | {meaning} |" for name, meaning in _members(kind) if name != "NONE"),
            ]
        )
        for kind in kinds
    ]


def domain_files(package: str) -> list[Path]:
    """Return the file of a service's `domain`, or those of its package."""
    folder = CHECKOUT / package / "domain"
    return sorted(folder.glob("*.py")) if folder.is_dir() else [folder.with_suffix(".py")]


def _members(kind: ast.ClassDef) -> Iterator[tuple[str, str]]:
    """Yield each member of an enum with the docstring after it."""
    for member, after in pairwise(kind.body):
        match member, after:
            case (
                ast.Assign(targets=[ast.Name(id=name)]),
                ast.Expr(value=ast.Constant(value=str(meaning))),
            ):
                yield name, " ".join(meaning.split())
            case _:
                pass

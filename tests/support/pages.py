"""The tables of docs/services/*.md and docs/settings.md, as the code has them; the tests compare, an author pastes."""

import ast
import json
from collections.abc import Iterable
from datetime import timedelta
from importlib import import_module
from typing import Any

from pydantic import TypeAdapter
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from pydantic_settings import BaseSettings

from devstack.folder import CHECKOUT
from schemas.events import EVENTS
from waybill.deciders.service import command_of
from waybill.observability.metrics import METRICS
from waybill.runtime.settings import Environment, Settings


def table(service: str, mark: str) -> str:
    """One of a service's tables; `service` as in docs/services/<service>.md, or `settings` for what all share."""
    return {"SETTINGS": settings, "ENDPOINTS": endpoints, "IN": events_in, "OUT": events_out}[mark](service)


def settings(service: str) -> str:
    if service == "settings":
        kinds: Iterable[Any] = [Settings]
    else:
        kinds = vars(import_module(f"{service}_service.settings")).values()
    own = [k for k in kinds if isinstance(k, type) and issubclass(k, Environment) and k is not Environment]
    return variables(*own)


def variables(*kinds: type[BaseSettings]) -> str:
    lines = ["| Variable | Default | Meaning |", "|---|---|---|"]
    for kind in kinds:
        prefix = kind.model_config.get("env_prefix")
        for name, field in kind.model_fields.items():
            lines.append(f"| `{prefix}{name.upper()}` | {_default(field)} | {field.description} |")
    return "\n".join(lines)


def _default(field: FieldInfo) -> str:
    value = field.default
    if value is PydanticUndefined:
        return "required"
    if value in (None, ""):
        return "none"
    if isinstance(value, timedelta):
        return f"`{TypeAdapter(timedelta).dump_python(value, mode='json')}`"
    return f"`{json.dumps(list(value)) if isinstance(value, tuple) else value}`"


def endpoints(service: str) -> str:
    router = import_module(f"{service}_service.api").router
    lines = ["| Endpoint | Does |", "|---|---|"]
    for path, view in router.path_operations.items():
        for operation in view.operations:
            does = (operation.view_func.__doc__ or "").splitlines()[0]
            lines += [f"| `{method} /v1{path}` | {does} |" for method in operation.methods]
    return "\n".join(lines)


def events_in(service: str) -> str:
    plan = import_module(f"{service}_service.service").service
    lines = ["| Event | From | Becomes | |", "|---|---|---|---|"]
    for event, reaction in plan.reaction_to.values():
        line = (reaction.__doc__ or "").splitlines()[0]
        lines.append(f"| {event.__name__} | `{event.topic}` | `{command_of(reaction).__name__}` | {line} |")
    return "\n".join(lines)


def events_out(service: str) -> str:
    plan = import_module(f"{service}_service.service").service
    lines = ["| Event | On | Key |", "|---|---|---|"]
    own = [kind for kind in EVENTS.values() if kind.aggregate_type in plan.tables]
    for kind in sorted(own, key=lambda kind: (kind.topic is None, kind.topic, kind.__name__)):
        where = f"`{kind.topic}`" if kind.topic else "nothing: private"
        lines.append(f"| {kind.__name__} | {where} | {'SKU' if kind.aggregate_type == 'product' else 'order id'} |")
    return "\n".join(lines)


def metrics_table() -> str:
    """Every metric, with its labels and the programs that show it."""
    lines = ["| Metric | Kind | Shown by | Means |", "|---|---|---|---|"]
    for name, metric in METRICS.items():
        labels = f"{{{','.join(metric.labels)}}}" if metric.labels else ""
        kind = metric.kind.__name__.lower()
        lines.append(f"| `{name}{labels}` | {kind} | {', '.join(metric.programs)} | {metric.meaning} |")
    return "\n".join(lines)


def statuses(service: str) -> dict[str, list[str]]:
    """Each `…Status` enum of the domain → its values but NONE, in the sequence of the source."""
    tree = ast.parse((CHECKOUT / f"{service}_service" / "domain.py").read_text())
    return {
        node.name: [s.targets[0].id for s in node.body if isinstance(s, ast.Assign) and s.targets[0].id != "NONE"]
        for node in tree.body
        if isinstance(node, ast.ClassDef) and node.name.endswith("Status")
    }

"""What Kubernetes and KEDA say an object looks like: their own OpenAPI, cut down to the kinds that are used here.

`make k8s` compares schemas.json with what the API server publishes, and writes it (ARGS=--write-schemas). With unknown
fields refused, as the server refuses them.
"""

import json
import re
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

import jsonschema_rs

from tests.support.kubernetes.rendering import Manifest

FILE: Final = Path(__file__).parent / "schemas.json"
KIND: Final = "x-kubernetes-group-version-kind"
AT: Final = "#/definitions/"
# Of what a definition says, what tells whether an object is well formed.
KEPT: Final = {
    *("$ref", "type", "format", "properties", "required", "items", "additionalProperties", "enum", "pattern"),
    *("minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems"),
    *("x-kubernetes-int-or-string", "x-kubernetes-preserve-unknown-fields"),
}


def key(one: Manifest) -> str:
    """Return an object's version and kind, as in apps/v1.Deployment."""
    return f"{one['apiVersion']}.{one['kind']}"


def extracted(document: Mapping[str, Any], kinds: Iterable[str]) -> dict[str, Any]:
    """Return what a server's OpenAPI (version 2) says of these kinds, and of what they consist of."""
    every = document["definitions"]
    found = {
        f"{one['group']}/{one['version']}.{one['kind']}".removeprefix("/"): name
        for name, definition in every.items()
        for one in definition.get(KIND, ())
        if name.endswith(f".{one['kind']}")
    }
    wanted = {kind: found[kind] for kind in sorted(kinds)}
    definitions: dict[str, Any] = {}
    waiting = list(wanted.values())
    while waiting:
        name = waiting.pop()
        if name not in definitions:
            definitions[name] = reduced(every[name])
            waiting += re.findall(rf'"{AT}([^"]+)"', json.dumps(definitions[name]))
    kinds_at = {kind: {"$ref": f"{AT}{name}"} for kind, name in wanted.items()}
    return {"kinds": kinds_at, "definitions": dict(sorted(definitions.items()))}


def reduced(definition: Any) -> Any:
    """Return a definition without words, and with every object closed that names its properties."""
    if not isinstance(definition, dict):
        return definition
    kept: dict[str, Any] = {name: value for name, value in sorted(definition.items()) if name in KEPT}
    if kept.pop("x-kubernetes-int-or-string", None) or kept.get("format") == "int-or-string":
        return {"type": ["integer", "string"]}
    open_ended = kept.pop("x-kubernetes-preserve-unknown-fields", None)
    for name in ("items", "additionalProperties"):
        if name in kept:
            kept[name] = reduced(kept[name])
    if "properties" in kept:
        kept["properties"] = {name: reduced(value) for name, value in sorted(kept["properties"].items())}
        if not open_ended:
            kept.setdefault("additionalProperties", False)
    kept.pop("format", None)  # widths of numbers
    return kept


def in_text(extract: Mapping[str, Any]) -> str:
    """Return an extract as it is committed: a definition a line."""
    parts = (
        f'"{part}": {{\n' + ",\n".join(f" {json.dumps(name)}: {json.dumps(one)}" for name, one in extract[part].items())
        for part in ("kinds", "definitions")
    )
    return "{" + "\n},\n".join(parts) + "\n}}\n"


@cache
def validator(kind: str) -> Any:
    """Return what checks objects of a kind; KeyError where schemas.json lacks it."""
    kept = json.loads(FILE.read_text())
    schema = {"$schema": "http://json-schema.org/draft-04/schema#", "definitions": kept["definitions"]}
    return jsonschema_rs.validator_for({**schema, "allOf": [kept["kinds"][kind]]})


def problems(one: Manifest) -> list[str]:
    """Say what of an object is not as its kind has it."""
    where = f"{one['kind']} {one['metadata'].get('name')}"
    return [
        f"{where}: {'.'.join(map(str, error.instance_path))}: {error.message}"
        for error in validator(key(one)).iter_errors(one)
    ]

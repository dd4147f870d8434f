"""What the Gateway API and Envoy Gateway say a document looks like: their definitions, cut down to the kinds used here.

`python -m tests.support.gateway.definitions` writes definitions.json again; it needs Go, whose modules have them.
"""

import json
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

import jsonschema_rs
import yaml

from tests.support import toolchains
from tests.support.kubernetes.schemas import key, reduced

FILE: Final = Path(__file__).with_name("definitions.json")
# Module, the hash of its archive as a go.sum has it, the folder and the files in it.
MODULES: Final = (
    (
        "sigs.k8s.io/gateway-api@v1.6.0",
        "h1:735YBRj5NXFrOGX0GoSjwzUIzbz8kiEOfADsqHFmHgE=",
        "config/crd/standard/gateway.networking.k8s.io_",
        ("gatewayclasses", "gateways", "httproutes", "referencegrants"),
    ),
    (
        "github.com/envoyproxy/gateway@v1.9.0",
        "h1:PaOpud15v3kDCl3L5yc1TdYzggCMpRm1yRjNKmLkzHA=",
        "charts/gateway-helm/charts/crds/crds/generated/gateway.envoyproxy.io_",
        ("backendtrafficpolicies", "clienttrafficpolicies", "securitypolicies"),
    ),
)
VERSIONS: Final = {"v1", "v1alpha1"}


@cache
def known() -> Mapping[str, Any]:
    """Version and kind → its definition."""
    return json.loads(FILE.read_text())


def problems(one: Mapping[str, Any]) -> list[str]:
    """Say what of a document is not as its kind has it. KeyError for a kind of which nothing is known."""
    validator = jsonschema_rs.validator_for(known()[key(one)])
    where = f"{one['kind']} {one['metadata']['name']}"
    return [
        f"{where}: {'.'.join(map(str, error.instance_path))}: {error.message}" for error in validator.iter_errors(one)
    ]


def main() -> None:
    lines = (f" {json.dumps(name)}: {json.dumps(one)}" for name, one in sorted(_definitions()))
    FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n")


def originals() -> Iterator[dict[str, Any]]:
    """Yield the definitions as their authors have them. Raises AssertionError where a module is not what it was."""
    for module, digest, folder, names in MODULES:
        place = toolchains.module(module, digest)
        for name in names:
            yield yaml.safe_load(Path(f"{place}/{folder}{name}.yaml").read_text())


def _definitions() -> Iterator[tuple[str, Any]]:
    for one in originals():
        spec = one["spec"]
        for version in spec["versions"]:
            if version["name"] in VERSIONS:
                definition = reduced(version["schema"]["openAPIV3Schema"])
                definition["properties"] |= {"metadata": {}, "status": {}}
                yield f"{spec['group']}/{version['name']}.{spec['names']['kind']}", definition


if __name__ == "__main__":
    main()

"""Everything applied, as a deployment does it: each object tried by a dry run first, then kept."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from devstack.harness.wait import wait_until
from tests.kubernetes.api import Api, Refused
from tests.support.kubernetes.rendering import Manifest, identity

ESTABLISHED_SECONDS = 60


@dataclass
class Applied:
    """How many objects the server took, refused, or was not asked for since it does not know their kind."""

    applied: int = 0
    left_out: int = 0
    refused: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def apply(self, api: Api, objects: Iterable[Manifest]) -> None:
        """Apply a service's objects: the namespace comes first, as kustomize has it."""
        for one in objects:
            where = f"{one['metadata'].get('namespace', '')} {' '.join(identity(one))}"
            if not api.has(one):
                self.left_out += 1
                continue
            try:
                _, said = api.apply(one, dry_run=True)
                kept, _ = api.apply(one)
                again, _ = api.apply(one)
            except Refused as error:
                self.refused.append(f"{where}: {error}")
                continue
            self.applied += 1
            self.warnings += [f"{where}: {line}" for line in said]
            if meant(kept) != meant(again):
                self.warnings.append(f"{where}: changes each time that it is applied")


def meant(kept: Manifest) -> Manifest:
    """Return what of a kept object is ours: Gateway API's kinds begin anew with a default status at each apply."""
    metadata = {name: kept["metadata"].get(name) for name in ("labels", "annotations", "generation")}
    return {name: one for name, one in kept.items() if name != "status"} | {"metadata": metadata}


def define(api: Api, definition: dict[str, Any]) -> None:
    """Have the server know a kind, and wait until it does."""
    api.create(definition)
    path = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{definition['metadata']['name']}"

    def is_established() -> bool:
        conditions = api.get(path).get("status", {}).get("conditions") or ()  # null at first
        return any(one["type"] == "Established" and one["status"] == "True" for one in conditions)

    wait_until(is_established, deadline_seconds=ESTABLISHED_SECONDS, what=definition["metadata"]["name"])

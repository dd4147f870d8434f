"""The overlays, as `kubectl kustomize` renders them."""

import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml

from devstack.folder import CHECKOUT

FOLDER: Final = CHECKOUT / "deploy" / "kubernetes"
KUBECTL: Final = Path(sys.executable).parent / "kubectl"
MIGRATION: Final = "migration"
Manifest = Mapping[str, Any]


@cache
def rendered(service: str, *, migration: bool = False) -> tuple[Manifest, ...]:
    """Return what one of a service's overlays consists of."""
    return rendered_folder(FOLDER / "overlays" / service / (MIGRATION if migration else ""))


def rendered_folder(folder: Path) -> tuple[Manifest, ...]:
    """Return what a folder with a kustomization.yaml consists of."""
    done = subprocess.run([KUBECTL, "kustomize", folder], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, f"{folder}: {done.stderr}"
    assert not done.stderr, f"{folder}: {done.stderr}"  # what is deprecated
    return tuple(yaml.load_all(done.stdout, yaml.CSafeLoader))


def whole(service: str) -> tuple[Manifest, ...]:
    """Return what both overlays of a service consist of, each object once; those of both are the same in both."""
    found: dict[tuple[str, str], Manifest] = {}
    for one in (*rendered(service), *rendered(service, migration=True)):
        assert found.setdefault(identity(one), one) == one, (
            f"{service}: {identity(one)} is not the same in both overlays"
        )
    return tuple(found.values())


def identity(one: Manifest) -> tuple[str, str]:
    """Return an object's kind and name; a service's objects are all in one namespace."""
    return one["kind"], one["metadata"]["name"]


def of_kind(objects: Iterable[Manifest], *kinds: str) -> Iterator[Manifest]:
    """Yield the objects of these kinds."""
    return (one for one in objects if one["kind"] in kinds)


def pods(objects: Iterable[Manifest]) -> dict[str, Manifest]:
    """Return program → the pod that runs it; the migration's is among them where its Job is."""
    made = of_kind(objects, "Deployment", "Job")
    return {one["metadata"]["labels"]["app.kubernetes.io/component"]: one["spec"]["template"] for one in made}


def containers(pod: Manifest) -> list[Manifest]:
    """Return all of a pod's containers, those that run first included."""
    return [*pod["spec"].get("initContainers", ()), *pod["spec"]["containers"]]


def variables(container: Manifest, objects: Iterable[Manifest]) -> dict[str, str]:
    """Return a container's variables, those looked up that come from a ConfigMap."""
    kept = {one["metadata"]["name"]: one["data"] for one in of_kind(objects, "ConfigMap")}
    found: dict[str, str] = {}
    for one in container.get("env", ()):
        if "value" in one:
            value = one["value"]
        else:
            reference = one["valueFrom"]["configMapKeyRef"]
            value = kept[reference["name"]][reference["key"]]
        for name, text in found.items():  # as the kubelet does, of what stands before
            value = value.replace(f"$({name})", text)
        found[one["name"]] = value
    return found


def command(container: Manifest, objects: Iterable[Manifest]) -> list[str]:
    """Return a container's command, with its variables filled in."""
    given = variables(container, objects)
    words = container["command"]
    for name, text in given.items():
        words = [word.replace(f"$({name})", text) for word in words]
    return list(words)


def ports(container: Manifest) -> dict[str, int]:
    """Return the names of a container's ports."""
    return {one["name"]: one["containerPort"] for one in container.get("ports", ())}

"""The services' overlays, deploy/kubernetes/overlays/<service>/: which programs it has, and what they take.

The programs come from services.toml, how many consumers can share the work from the topics, and what a program asks a
node for from benchmarks/results/footprint.json. What is the same for every service stands in deploy/kubernetes/base/,
written by hand.
"""

import json
import math
from collections.abc import Iterable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import catalogue.configured  # noqa: F401 # pyright: ignore[reportUnusedImport] - the services' rows want Django
from devstack.folder import CHECKOUT
from devstack.services import EVERY, Service
from waybill.contracts.topics import topics

FOLDER: Final = CHECKOUT / "deploy" / "kubernetes" / "overlays"
FOOTPRINT: Final = CHECKOUT / "benchmarks" / "results" / "footprint.json"
ORDERS_PER_SECOND: Final = 100  # what one pod of each program carries with the CPU that it asks for
LEAST_MILLICORES: Final = 50  # a program that idles looks for work up to 50 times a second
HEADROOM: Final = 1.25  # of memory, above the most that was measured
HEAD: Final = (
    "# Made by `make docs` from services.toml, the topics and benchmarks/results/footprint.json: do not edit.\n"
)
SERVICE: Final = """\
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
namespace: waybill-NAME
resources:
RESOURCES
components:
COMPONENTS
labels:
  - pairs: {app.kubernetes.io/name: NAME, app.kubernetes.io/part-of: waybill}
    includeTemplates: true
configMapGenerator:
  - name: service
    literals: [SERVICE=PACKAGE, RELAY_ROLE=NAME_relay]
"""
RESOURCES: Final = """\
  - target: {kind: Deployment, name: PROGRAM}
    patch: |-
      - op: add
        path: /spec/template/spec/containers/0/resources
        value: {requests: {cpu: CPUm, memory: REQUESTMi}, limits: {memory: LIMITMi}}
"""
CONSUMERS: Final = """\
  - target: {kind: ScaledObject, name: consumer}
    patch: |-
      - {op: replace, path: /spec/maxReplicaCount, value: PARTITIONS}
"""
NAMES: Final = """\
replacements:
  - source: {kind: Namespace, fieldPath: metadata.name}
    targets:
"""
IN_QUERY: Final = """\
      - select: {kind: ScaledObject, name: PROGRAM}
        fieldPaths: [spec.triggers.0.metadata.query]
        options: {delimiter: '"', index: INDEX}
"""
# How often a program's query names the namespace.
NAMED: Final = {"consumer": 1, "worker": 2}


def overlays(services: Iterable[Service] = EVERY.values()) -> dict[Path, str]:
    """Return the text of every service's overlays: its programs, and the migration that comes before them."""
    partitions = {topic.name: topic.partitions for topic in topics()}
    footprint = json.loads(FOOTPRINT.read_text())["programs"]
    found: dict[Path, str] = {}
    for service in services:
        read = import_module(f"{service.package}.service").service.topics
        consumers = max((partitions[topic] for topic in read), default=1)
        folder = FOLDER / service.name
        found[folder / "kustomization.yaml"] = programs(service, consumers, footprint)
        found[folder / "migration" / "kustomization.yaml"] = migration(service)
    return found


def programs(service: Service, consumers: int, footprint: Mapping[str, Any]) -> str:
    """Return the overlay of a service's programs."""
    own = [f"outside/{service.calls}"] if service.calls else []
    own += [] if service.decides else ["reading"]
    text = HEAD + filled(
        SERVICE,
        RESOURCES=listed("../../base", ("service", *service.programs)),
        COMPONENTS="\n".join([*([listed("../../base", own)] if own else []), "  - ../../environment"]),
    )
    text += "patches:\n"
    for program in service.programs:
        text += filled(RESOURCES, PROGRAM=program, **taken(service, program, footprint))
    if "consumer" in service.programs:
        text += filled(CONSUMERS, PARTITIONS=str(consumers))
    queries = [
        filled(IN_QUERY, PROGRAM=program, INDEX=str(2 * number + 1))
        for program in NAMED
        if program in service.programs
        for number in range(NAMED[program])
    ]
    return named("".join([text, *([NAMES] if queries else []), *queries]), service)


def migration(service: Service) -> str:
    """Return the overlay of what is done before a version's programs."""
    resources = listed("../../../base", ("service", "migration"))
    return named(
        HEAD + filled(SERVICE, RESOURCES=resources, COMPONENTS="  - ../../../environment"),
        service,
    )


def taken(service: Service, program: str, footprint: Mapping[str, Any]) -> dict[str, str]:
    """Return what a program asks for; one that was never measured takes what the largest of its kind does."""
    name = f"{service.name}.{program}"
    like = (
        [footprint[name]]
        if name in footprint
        else [one for key, one in footprint.items() if key.endswith(f".{program}")]
    )
    millicores = max(one["cpu_ms"] for one in like) * ORDERS_PER_SECOND
    request = math.ceil(max(one["peak_mib"] for one in like) * HEADROOM / 16) * 16
    return {
        "CPU": str(max(LEAST_MILLICORES, math.ceil(millicores / 10) * 10)),
        "REQUEST": str(request),
        "LIMIT": str(2 * request),
    }


def listed(folder: str, names: Iterable[str]) -> str:
    """Return the paths as lines of a list."""
    return "\n".join(f"  - {folder}/{name}" for name in names)


def filled(text: str, **values: str) -> str:
    """Return the text with each name replaced."""
    for name, value in values.items():
        text = text.replace(name, value)
    return text


def named(text: str, service: Service) -> str:
    """Return the text with the service's own names."""
    return filled(text, PACKAGE=service.package, NAME=service.name)

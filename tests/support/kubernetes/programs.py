"""What the pods of a service are, held against services.toml, the settings and what was measured."""

import json
from collections.abc import Iterable
from typing import Final

from catalogue.kubernetes import FOOTPRINT
from devstack.services import EVERY
from tests.support.kubernetes.network import may, must_answer, must_call
from tests.support.kubernetes.rendering import (
    Manifest,
    command,
    containers,
    identity,
    of_kind,
    pods,
    ports,
    variables,
)
from waybill.contracts.topics import topics

PROBES: Final = ("startupProbe", "livenessProbe", "readinessProbe")
MIB: Final = 1024 * 1024
UNITS: Final = {"Ki": 1024, "Mi": MIB, "Gi": 1024 * MIB}
NEVER_SCALED: Final = "relay"
RESTRICTED: Final = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}


def wrong(service: str, objects: Iterable[Manifest]) -> list[str]:
    """Say what is other than it has to be; nothing, where all is well."""
    kept = tuple(objects)
    checks = (programs, commands, probes, resources, network, scaling, disruptions, rights)
    return [f"{service}: {line}" for check in checks for line in check(service, kept)]


def programs(service: str, objects: tuple[Manifest, ...]) -> Iterable[str]:
    """Each program of services.toml is a Deployment, and the migration a Job."""
    wanted = {("Deployment", name) for name in EVERY[service].programs}
    found = {identity(one) for one in of_kind(objects, "Deployment")}
    yield from (f"{kind} {name} is missing, or one too many" for kind, name in wanted ^ found)
    if len(list(of_kind(objects, "Job"))) != 1:
        yield "one Job is wanted: the migration"


def commands(service: str, objects: tuple[Manifest, ...]) -> Iterable[str]:
    """A program is started as the compose file, and so the local stack, starts it."""
    package = EVERY[service].package
    own = ["waybill"] if EVERY[service].decides else []
    wanted = {name: ["python", "-m", "waybill", package, name] for name in ("consumer", "worker")}
    wanted |= {"relay": ["python", "-m", "outbox_relay"], "web": ["python", "-m", *own, package, "web"]}
    for name, pod in pods(objects).items():
        if name not in wanted:
            continue
        (container,) = pod["spec"]["containers"]
        if (found := command(container, objects)) != wanted[name]:
            yield f"{name} is started by {found}"


def probes(_service: str, objects: tuple[Manifest, ...]) -> Iterable[str]:
    """Each probe, and each scrape, asks at the port on which the program tells of itself."""
    for name, pod in pods(objects).items():
        for container in pod["spec"]["containers"] if name != "migration" else ():
            given = variables(container, objects)
            opened = {int(given["WAYBILL_PORT"])}
            health = int(given.get("WAYBILL_HEALTH_PORT", given["WAYBILL_PORT"]))
            if set(ports(container).values()) != opened | {health}:
                yield f"{name} opens {opened | {health}}, and says {ports(container)}"
            for probe in PROBES:
                asked = container[probe]["httpGet"]
                path = "/readyz" if probe == "readinessProbe" else "/livez"
                if (asked["path"], ports(container).get(asked["port"])) != (path, health):
                    yield f"{name}: {probe} asks {asked}, and {health} is where {path} is answered"
            annotations = pod["metadata"]["annotations"]
            if (annotations["prometheus.io/scrape"], annotations["prometheus.io/port"]) != ("true", str(health)):
                yield f"{name} is scraped at {annotations}"


def resources(service: str, objects: tuple[Manifest, ...]) -> Iterable[str]:
    """What is asked for is at least what was measured, and no more than half as much again, to the next step."""
    measured = json.loads(FOOTPRINT.read_text())["programs"]
    for name, pod in pods(objects).items():
        for container in containers(pod):
            asked, limits = container["resources"]["requests"], container["resources"]["limits"]
            request, limit = bytes_of(asked["memory"]) / MIB, bytes_of(limits["memory"]) / MIB
            if "cpu" in limits or "cpu" not in asked:
                yield f"{name}: CPU is asked for, and not limited"
            peak = measured.get(f"{service}.{name}", {}).get("peak_mib")
            if peak is not None and not peak <= request <= 1.5 * peak + 16:
                yield f"{name} asks for {request} MiB; {peak} were measured"
            if limit < 2 * request:
                yield f"{name}: {limit} MiB leave too little above {request}"


def bytes_of(quantity: str) -> int:
    """Return a quantity of memory in bytes."""
    return int(quantity[:-2]) * UNITS[quantity[-2:]]


def network(service: str, objects: tuple[Manifest, ...]) -> Iterable[str]:
    """A program reaches whom it must, is reached by who must, and nothing else."""
    for name, pod in pods(objects).items():
        for direction, wanted in (
            ("egress", must_call(service, name, objects)),
            ("ingress", must_answer(name, pod)),
        ):
            found = may(direction, pod, objects)
            yield from (f"{name} must not have {direction} {edge}" for edge in found - wanted)
            yield from (f"{name} needs {direction} {edge}" for edge in wanted - found)


def scaling(_service: str, objects: tuple[Manifest, ...]) -> Iterable[str]:
    """Everything but the relay has exactly one that scales it; consumers are no more than there are partitions."""
    scaled = [
        one["spec"]["scaleTargetRef"]["name"] for one in of_kind(objects, "HorizontalPodAutoscaler", "ScaledObject")
    ]
    wanted = sorted(identity(one)[1] for one in of_kind(objects, "Deployment"))
    if sorted(scaled) != [name for name in wanted if name != NEVER_SCALED]:
        yield f"scaled are {scaled}"
    for one in of_kind(objects, "Deployment"):
        replicas = one["spec"].get("replicas")
        if identity(one)[1] == NEVER_SCALED and replicas != 2:
            yield f"the relay has {replicas} pods"
        if one["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] != 0:
            yield f"{identity(one)[1]} is stopped before another is ready"
    most = max(topic.partitions for topic in topics())
    for one in of_kind(objects, "ScaledObject"):
        if identity(one)[1] == "consumer" and one["spec"]["maxReplicaCount"] != most:
            yield f"{one['spec']['maxReplicaCount']} consumers, and {most} partitions"


def disruptions(_service: str, objects: tuple[Manifest, ...]) -> Iterable[str]:
    """Each program's pods are drained one at a time."""
    budgets = [one["spec"] for one in of_kind(objects, "PodDisruptionBudget")]
    for one in of_kind(objects, "Deployment"):
        mine = [budget for budget in budgets if budget["selector"] == one["spec"]["selector"]]
        if [budget["maxUnavailable"] for budget in mine] != [1]:
            yield f"{identity(one)[1]} has the budgets {mine}"


def rights(_service: str, objects: tuple[Manifest, ...]) -> Iterable[str]:
    """No pod has a token, a secret's text or a file system to write on; no role is bound."""
    yield from (f"{identity(one)} is not wanted" for one in objects if one["kind"].startswith(("Role", "Cluster")))
    yield from (f"{identity(one)}: secrets are made elsewhere" for one in of_kind(objects, "Secret"))
    yield from (
        f"{identity(one)} mounts its token"
        for one in of_kind(objects, "ServiceAccount")
        if one["automountServiceAccountToken"] is not False
    )
    for name, pod in pods(objects).items():
        if pod["spec"]["automountServiceAccountToken"] is not False:
            yield f"{name} mounts a token"
        for container in containers(pod):
            if container["securityContext"].items() != RESTRICTED.items():
                yield f"{name}: {container['name']} runs with {container['securityContext']}"
            mounted = {mount["mountPath"] for mount in container["volumeMounts"] if not mount.get("readOnly")}
            if mounted != {"/tmp"}:
                yield f"{name}: {container['name']} can write to {mounted}"

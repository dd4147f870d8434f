"""Who must talk to whom, by what each program is told, and who may, by the network policies.

What a program is told follows from services.toml: docker-compose.kafka.yml has each one's least. Where a part is stands
in the environment's addresses, `name.namespace.svc:port`.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any, Final

import yaml

from devstack.folder import CHECKOUT
from tests.support.kubernetes.rendering import Manifest, containers, of_kind, pods, ports, variables

Edge = tuple[str, int]  # a namespace, or the public internet, and a port
PUBLIC: Final = ("public", 443)
POSTGRES: Final = ("postgres", 5432)
NAMES: Final = ("kube-system", 53)
# Variable without WAYBILL_ → whom a program that has it calls. Where the address is a secret it is written here.
CALLED: Final[Mapping[str, str]] = {
    "DATABASE_URL": "postgres",
    "OWNER_DATABASE_URL": "postgres",
    "OWNER_DATABASE_URLS": "postgres",
    "OUTBOX_DATABASES": "postgres",
    "KAFKA_BOOTSTRAP": "kafka",
    "REGISTRY_URL": "registry",
    "JWKS_FILE": "issuer",
    "JWKS_URL": "issuer",
    "PROVIDER_URL": "provider",
    "STRIPE_API_KEY": "provider",
    "SMTP_HOST": "mailbox",
}
# Those that lead nowhere. One that stands in neither table fails: somebody has to say which it is.
SILENT: Final = {
    *("ENVIRONMENT", "SERVICE", "SERVICE_ROLE", "RELAY_ROLE", "HOST", "PORT", "HEALTH_PORT", "LOG_LEVEL"),
    *("TOKEN_ISSUER", "TOKEN_AUDIENCE", "ALLOWED_HOSTS", "ENCRYPTION_KEYS", "CONSOLE_SECRET_KEY"),
    *("KAFKA_PROPERTIES", "TOPICS_REPLICATION", "TOPICS_MIN_INSYNC", "PROVIDER", "SMTP_PORT"),
}
# What a migration does, by the steps of the compose file.
MIGRATION: Final = ("migrate", "topics", "register")


@cache
def composed() -> Mapping[str, Any]:
    """Return the containers of the compose file."""
    return yaml.safe_load((CHECKOUT / "docker-compose.kafka.yml").read_text())["services"]


def called(names: Iterable[str]) -> set[str]:
    """Return whom a program with these variables calls; KeyError where nobody said so."""
    found = set()
    for name in names:
        bare = name.removeprefix("WAYBILL_")
        bare = bare if bare in CALLED else bare.removesuffix("_FILE")
        if bare not in SILENT:
            found.add(CALLED[bare])
    return found


def told(service: str, program: str) -> set[str]:
    """Return whom a program must call, as the compose file has it."""
    steps = [f"{service}-migrate", *MIGRATION[1:]] if program == "migration" else [f"{service}-{program}"]
    return {part for step in steps for part in called(composed()[step]["environment"])}


def must_call(service: str, program: str, objects: Iterable[Manifest]) -> set[Edge]:
    """Return where a program has to get through to, names included."""
    kept = tuple(objects)
    addresses = {
        part: address
        for container in containers(pods(kept)[program])
        for name, value in variables(container, kept).items()
        if (part := CALLED.get(name.removeprefix("WAYBILL_"))) and (address := address_of(value))
    }
    edges = {NAMES}
    for part in told(service, program):
        match part:
            case "postgres":
                edges.add(POSTGRES)
            case "provider":
                edges.add(PUBLIC)
            case "mailbox":  # customers' webhooks are delivered by who sends them mail
                edges |= {addresses[part], PUBLIC}
            case _:
                edges.add(addresses[part])
    return edges


def address_of(value: str) -> Edge | None:
    """Return namespace and port of an address within the cluster; a mail server has its port elsewhere."""
    found = re.match(r"(?:https?://)?[\w-]+\.([\w-]+)\.svc(?::(\d+))?(?:/|$)", value)
    return (found[1], int(found[2] or 25)) if found else None


def must_answer(program: str, pod: Manifest) -> set[Edge]:
    """Return who has to get through to a program, and to which of its ports."""
    own = {name: port for container in containers(pod) for name, port in ports(container).items()}
    callers = {"http": "waybill-gateway", "health": "monitoring"}
    assert own.keys() <= callers.keys(), f"{program}: nobody said who asks at {own.keys() - callers.keys()}"
    return {(callers[name], port) for name, port in own.items()}


def may(direction: str, pod: Manifest, objects: Iterable[Manifest]) -> set[Edge]:
    """Return what the network policies let a pod reach (`egress`), or be reached by (`ingress`)."""
    own = {name: port for container in containers(pod) for name, port in ports(container).items()}
    side = {"egress": "to", "ingress": "from"}[direction]
    found: set[Edge] = set()
    for policy in of_kind(objects, "NetworkPolicy"):
        spec = policy["spec"]
        if not selects(spec["podSelector"], pod["metadata"]["labels"]):
            continue
        for rule in spec.get(direction, ()):
            # Without either list a rule allows everybody, or every port.
            for peer in rule.get(side) or [None]:
                for port in rule.get("ports") or [{"port": 0}]:
                    found.add((named(peer), own.get(port["port"], port["port"])))
    return found


def selects(selector: Manifest, labels: Mapping[str, str]) -> bool:
    """Tell whether a selector takes a pod with these labels."""
    wanted: Mapping[str, str] = selector.get("matchLabels", {})
    return wanted.items() <= labels.items() and all(
        labels.get(one["key"]) in one["values"] for one in expressions(selector)
    )


def expressions(selector: Manifest) -> Iterator[Manifest]:
    """Yield a selector's expressions, of the one kind that is used here."""
    for one in selector.get("matchExpressions", ()):
        assert one["operator"] == "In", one
        yield one


def named(peer: Manifest | None) -> str:
    """Return a short name of the other side: the namespace's, `public`, or what it says itself."""
    match peer:
        case None:
            return "everybody"
        case {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": str(name)}}}:
            return name
        case {"ipBlock": {"cidr": "0.0.0.0/0", "except": [*ranges]}} if set(ranges) >= PRIVATE:
            return PUBLIC[0]
        case _:
            return str(peer)


# What is not the public internet, of what a cluster uses inside.
PRIVATE: Final = {"10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16"}


def denied_by_default(objects: Iterable[Manifest]) -> bool:
    """Tell whether there is a policy that takes every pod, both ways, and allows nothing."""
    return any(
        policy["spec"]["podSelector"] == {}
        and set(policy["spec"]["policyTypes"]) == {"Ingress", "Egress"}
        and not policy["spec"].get("ingress")
        and not policy["spec"].get("egress")
        for policy in of_kind(objects, "NetworkPolicy")
    )

"""The documents that say what the gateway does: Kubernetes' Gateway API, and Envoy Gateway's policies.

The same files go to a cluster, so they are read as a cluster reads them: by kind and name, whichever file they are in.
What this compiler does not support is refused by name and place, and never ignored: a rule that a developer's gateway
leaves out would be found missing in production.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

import yaml

GATEWAY_API: Final = "gateway.networking.k8s.io/v1"
ENVOY_GATEWAY: Final = "gateway.envoyproxy.io/v1alpha1"
KINDS: Final[Mapping[str, str]] = {
    "Gateway": GATEWAY_API,
    "HTTPRoute": GATEWAY_API,
    "BackendTrafficPolicy": ENVOY_GATEWAY,
    "ClientTrafficPolicy": ENVOY_GATEWAY,
    "SecurityPolicy": ENVOY_GATEWAY,
}
# Of the cluster alone: the gateway here has no namespaces to let in, and is of one class.
OF_THE_CLUSTER: Final = frozenset({"GatewayClass", "Kustomization", "Namespace", "NetworkPolicy", "ReferenceGrant"})


class Refused(Exception):
    """A document says what cannot be meant, or what is not supported; the text has the place."""


@dataclass(frozen=True)
class Document:
    """One object: its kind, its name, and all that it says."""

    kind: str
    name: str
    body: Mapping[str, Any]
    file: str = ""

    @property
    def namespace(self) -> str:
        """Return its namespace; empty where it names none."""
        return str(self.body.get("metadata", {}).get("namespace", ""))

    @property
    def place(self) -> str:
        """Return where it stands, for messages."""
        return f"{self.file}: {self.kind} {self.name}" if self.file else f"{self.kind} {self.name}"


def read(folder: Path) -> tuple[Document, ...]:
    """Return the documents of a folder's `*.yaml` files, by file and place in it.

    Raises:
        Refused: a file is no YAML, an object is of a kind that is not supported, or two have one name.

    """
    files = sorted(folder.glob("*.yaml"))
    if not files:
        raise Refused(f"{folder}: there is no *.yaml file")
    return parse({file.name: file.read_text() for file in files})


def parse(texts: Mapping[str, str]) -> tuple[Document, ...]:
    """Return the documents of these files, by the files' names; raises Refused as `read` does."""
    found: dict[tuple[str, str], Document] = {}
    for file, text in texts.items():
        try:
            bodies = list(yaml.safe_load_all(text))
        except yaml.YAMLError as error:
            raise Refused(f"{file}: {error}") from error
        for body in bodies:
            if body is not None and (document := _document(file, body)) is not None:
                other = found.setdefault((document.kind, document.name), document)
                if other is not document:
                    raise Refused(f"{document.place} is in {other.file} already")
    return tuple(found.values())


def dump(documents: Iterable[Document]) -> str:
    """Return the documents as one text, without their comments."""
    return yaml.safe_dump_all((dict(one.body) for one in documents), sort_keys=False, width=120)


def _document(file: str, body: Any) -> Document | None:
    if not isinstance(body, Mapping):
        raise Refused(f"{file}: expected an object, got {body!r}")
    body = cast("Mapping[str, Any]", body)
    kind, version = body.get("kind"), body.get("apiVersion")
    if kind in OF_THE_CLUSTER:
        return None
    if kind not in KINDS:
        raise Refused(f"{file}: the kind {kind!r} is not supported; there are {', '.join(KINDS)}")
    if version != KINDS[kind]:
        raise Refused(f"{file}: {kind}: apiVersion {version!r} is not supported; it is {KINDS[kind]}")
    metadata = cast("Mapping[str, Any]", body.get("metadata") or {})
    name = metadata.get("name")
    if not isinstance(name, str) or not name:
        raise Refused(f"{file}: {kind}: metadata.name is missing")
    return Document(kind, name, body, file)

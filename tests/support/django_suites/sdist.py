"""The sdist of the Django that uv.lock names, with its tests: fetched by pip, held against the lock's checksum."""

import hashlib
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

from devstack.cache.artifacts import cache, unpack
from devstack.folder import CHECKOUT

NAME = "django"


def tests() -> Path:
    """Return the folder of Django's tests, fetched first where it is missing. May block for a minute."""
    version, sha256 = pinned()
    home = cache() / NAME
    folder = home / f"{NAME}-{version}"
    if not folder.is_dir():
        home.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=home, prefix=".fetch-") as scratch:
            archive = home / f"{folder.name}.tar.gz"
            if not archive.is_file():
                archive = _download(version, Path(scratch))
            if (found := hashlib.sha256(archive.read_bytes()).hexdigest()) != sha256:
                sys.exit(f"{archive.name} has SHA-256 {found}, uv.lock names {sha256}: delete {archive} and try again")
            unpack(archive, Path(scratch))
            (Path(scratch) / folder.name).rename(folder)
    return folder / "tests"


def pinned() -> tuple[str, str]:
    """Return version and SHA-256 of the sdist."""
    lock = tomllib.loads((CHECKOUT / "uv.lock").read_text())
    package = next(one for one in lock["package"] if one["name"] == NAME)
    return package["version"], package["sdist"]["hash"].removeprefix("sha256:")


def _download(version: str, folder: Path) -> Path:
    # Isolated: pip asks an sdist for its metadata, which takes its build backend.
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    subprocess.run([*command, f"--no-binary={NAME}", "--dest", folder, f"{NAME}=={version}"], check=True)
    return next(folder.glob("*.tar.gz"))

"""Environments as a project makes them: the built wheel and what it requires, with no checkout in sight."""

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from zipfile import ZipFile

from devstack.harness.stack import CHECKOUT

UV = Path(sys.executable).with_name("uv")
INSTALL_SECONDS = 180
KEPT = ("HOME", "LANG", "LC_ALL", "PATH", "SSL_CERT_FILE", "TMPDIR", "UV_CACHE_DIR", "UV_OFFLINE")


@dataclass(frozen=True)
class Environment:
    """A virtual environment."""

    folder: Path

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    def command(self, *arguments: str) -> list[str]:
        """Python, kept from finding what lies in the folder that it is started in, unless that is a project's own."""
        return [str(self.python), *arguments]

    def run(self, *arguments: str, cwd: Path, timeout: float = 60, **environment: str) -> str:
        """What Python prints; fails with all that it says where it exits with another code than 0."""
        done = subprocess.run(
            self.command(*arguments),
            cwd=cwd,
            env=surroundings(**environment),
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        assert done.returncode == 0, f"{arguments}: {done.stdout[-4000:]}{done.stderr[-4000:]}"
        return done.stdout

    def packages(self) -> dict[str, str]:
        """Name → version of all that is installed."""
        listed = _uv("pip", "list", "--format", "json", "--python", str(self.python))
        return {one["name"]: one["version"] for one in json.loads(listed)}


def surroundings(**more: str) -> dict[str, str]:
    """The variables of a user's shell, and nothing of this run's."""
    return {name: os.environ[name] for name in KEPT if name in os.environ} | more


def build_wheel(folder: Path) -> Path:
    """Build the checkout's wheel, with nothing from the network."""
    _uv("build", "--wheel", "--offline", "--out-dir", str(folder), str(CHECKOUT))
    (wheel,) = folder.glob("*.whl")
    return wheel


def required(wheel: Path) -> list[str]:
    """What the wheel requires without an extra."""
    with ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = archive.read(name).decode()
    return [one for one in re.findall(r"^Requires-Dist: (.+)$", metadata, re.MULTILINE) if "extra ==" not in one]


def newest_python() -> str:
    """The newest Python on this machine, on the path or of pyenv; the one that runs this where there is no newer."""
    for version in ("3.14", "3.13", "3.12"):
        pyenv = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python"))
        for found in (*map(str, pyenv), shutil.which(f"python{version}")):
            if found and subprocess.run([found, "-c", "import venv"], capture_output=True, check=False).returncode == 0:
                return found
    return sys.executable


def make(folder: Path, *requirements: str, python: str = sys.executable, oldest: bool = False) -> Environment:
    """Install requirements into a new environment: the newest versions that fit, or the oldest that these allow."""
    environment = Environment(folder)
    _uv("venv", "--python", python, str(folder))
    resolution = "lowest-direct" if oldest else "highest"
    _uv("pip", "install", "--python", str(environment.python), "--resolution", resolution, *requirements)
    return environment


def install(environment: Environment, *requirements: str) -> None:
    """Add requirements to an environment, as `pip install` does."""
    _uv("pip", "install", "--python", str(environment.python), *requirements)


def _uv(*arguments: str) -> str:
    done = subprocess.run(
        [UV, "--quiet", *arguments],
        cwd="/",
        env=surroundings(UV_PYTHON_DOWNLOADS="never"),
        capture_output=True,
        text=True,
        timeout=INSTALL_SECONDS,
        check=False,
    )
    assert done.returncode == 0, f"uv {' '.join(arguments)}: {done.stderr[-3000:]}"
    return done.stdout

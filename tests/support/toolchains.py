"""Toolchains that a machine may lack, and what is made with them: once, from lock files, in the cache."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pytest

from devstack.cache.artifacts import cache, cache_locked

MAKE_SECONDS: Final = 500
GO: Final = {"CGO_ENABLED": "0", "GOWORK": "off", "GOFLAGS": "-mod=readonly -buildvcs=false"}
UNREACHABLE: Final = re.compile(
    r"ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ENETUNREACH|ETIMEDOUT"  # npm
    r"|dial tcp: .*(?:no such host|connection refused|network is unreachable|i/o timeout)"  # Go
)
GO_FOLDER: Final = "/usr/local/go/bin"  # where Go's own archive puts it, which is not on every PATH
SOURCES: Final = {".mjs", ".json", ".go", ".mod", ".sum"}


def found(program: str) -> str | None:
    """Return the program's path: on PATH, or where Go's archive puts it; None where there is none."""
    return shutil.which(program, path=os.pathsep.join((os.environ.get("PATH", os.defpath), GO_FOLDER)))


def need(program: str, asked: list[str], wanted: tuple[int, ...], whom: str) -> str:
    """Return the program's path; skip the test where the toolchain is missing or older than wanted."""
    newer = f"{whom} needs {program} {'.'.join(map(str, wanted))} or newer"
    path = found(program)
    if path is None:
        pytest.skip(f"{program} is not installed: {newer}")
    said = subprocess.run([path, *asked], capture_output=True, text=True, timeout=60, check=True).stdout.strip()
    if tuple(map(int, re.findall(r"\d+", said)))[: len(wanted)] < wanted:
        pytest.skip(f"{program} is {said}: {newer}")
    return path


def go(source: Path, program: str, whom: str, also: Sequence[str] = ()) -> str:
    """Return the path of a Go program; downloads and builds it once. `also`: patterns of files in folders."""
    wanted = re.search(r"^go (\d+)\.(\d+)", (source / "go.mod").read_text(), re.MULTILINE)
    assert wanted is not None
    compiler = need("go", ["env", "GOVERSION"], tuple(map(int, wanted.groups())), whom)
    return str(made(source, [compiler, "build", "-o", program, "."], also, **GO) / program)


def module(named: str, digest: str) -> Path:
    """Return the folder of a Go module, as `name@version`; AssertionError where its go.sum's hash is another."""
    compiler = found("go")
    assert compiler is not None, "there is no Go here"
    done = subprocess.run(
        [compiler, "mod", "download", "-json", named],
        env=os.environ | {"GOFLAGS": "-mod=mod"},
        capture_output=True,
        text=True,
        check=False,
        timeout=MAKE_SECONDS,
    )
    assert done.returncode == 0, f"{named}: {done.stdout}{done.stderr}"
    told = json.loads(done.stdout)
    assert told["Sum"] == digest, f"{named} is {told['Sum']}"
    return Path(told["Dir"])


def made(
    source: Path, command: list[str], also: Sequence[str] = (), *, seconds: float = MAKE_SECONDS, **environment: str
) -> Path:
    """Run a command in a copy of a folder's sources, once for what they are now; returns the copy, which is whole."""
    others = (path for pattern in also for path in source.glob(pattern))
    files = sorted([*(path for path in source.iterdir() if path.suffix in SOURCES), *others])
    digest = hashlib.sha256()
    for file in files:
        digest.update(b"%s\0%s\0" % (file.relative_to(source).as_posix().encode(), file.read_bytes()))
    home = cache() / f"{source.name}-{digest.hexdigest()[:12]}"
    if home.exists():
        return home
    cache().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache(), prefix=f".{source.name}-") as scratch:
        copy = Path(scratch) / source.name
        copy.mkdir()
        for file in files:
            target = copy / file.relative_to(source)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, target)
        done = subprocess.run(
            command,
            cwd=copy,
            env=os.environ | environment,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
        if done.returncode and (missing := UNREACHABLE.search(done.stderr)):
            pytest.skip(f"{source.name}: {command[0]} cannot reach its registry ({missing.group()})")
        assert done.returncode == 0, f"{source.name}: {' '.join(command)}: {done.stderr[-2000:]}{done.stdout[-1000:]}"
        if not home.exists():
            copy.rename(home)
    return home


def python_with(requirements: Path) -> Path:
    """Return the Python of an environment with pinned packages, made once for what the file names now."""
    home = cache() / f"python-{hashlib.sha256(requirements.read_bytes()).hexdigest()[:12]}"
    python = home / "bin" / "python"
    if (home / ".whole").exists():
        return python
    with cache_locked():
        for command in (
            [sys.executable, "-m", "venv", "--clear", str(home)],
            [str(python), "-m", "pip", "install", "--quiet", "--requirement", str(requirements)],
        ):
            done = subprocess.run(command, capture_output=True, text=True, timeout=MAKE_SECONDS, check=False)
            if "ConnectionError" in done.stderr or "Failed to establish" in done.stderr:
                pytest.skip(f"{requirements}: pip cannot reach its registry")
            assert done.returncode == 0, done.stderr[-2000:]
        (home / ".whole").touch()
    return python

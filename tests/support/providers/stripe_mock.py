"""stripe-mock: Stripe's check of requests against its API's description. Go builds it, once, into the user's cache."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from devstack.cache.artifacts import cache, cache_locked
from tests.support import toolchains
from tests.support.providers.process import answering, free_port

MODULE = "github.com/stripe/stripe-mock"
VERSION = "v0.203.0"
BUILD_SECONDS = 300


def built() -> Path:
    """The program; skips the test, with the reason, where it cannot be had."""
    folder = cache() / f"stripe-mock-{VERSION}"
    program = folder / "stripe-mock"
    if program.is_file():
        return program
    go = toolchains.found("go")
    if go is None:
        pytest.skip("stripe-mock: there is no Go here to build it")
    with cache_locked():
        if not program.is_file():
            _build(go, folder)
    return program


def _build(go: str, folder: Path) -> None:
    making = cache() / ".fetch-stripe-mock"  # cleared away by the next, where this one is killed
    try:
        done = subprocess.run(
            [go, "install", f"{MODULE}@{VERSION}"],
            env={**os.environ, "GOBIN": str(making), "GOFLAGS": "", "GOTOOLCHAIN": "local"},
            capture_output=True,
            text=True,
            check=False,
            timeout=BUILD_SECONDS,
        )
    except subprocess.TimeoutExpired:
        pytest.skip(f"stripe-mock: not built within {BUILD_SECONDS} s")
    if done.returncode:
        pytest.skip(f"stripe-mock: {done.stderr.strip().splitlines()[-1]}")
    shutil.rmtree(folder, ignore_errors=True)
    making.replace(folder)


@contextmanager
def running(folder: Path) -> Iterator[str]:
    """Yield its URL."""
    port = free_port()
    command = [str(built()), "-http-addr", f"127.0.0.1:{port}"]
    with answering(command, port, folder / "stripe-mock.log", os.environ) as url:
        yield url

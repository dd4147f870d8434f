"""Clients that openapi-python-client and openapi-generator make of the published document place and cancel orders."""

import os
import subprocess
import uuid
from pathlib import Path

import pytest

from devstack.cache.artifacts import fetch
from devstack.errors import DevstackError
from devstack.harness.stack import Stack
from devstack.infrastructure.java import java
from tests.support import toolchains

HERE = Path(__file__).parent / "clients"
SAID = "4900 CONFIRMED 4 CANCELLED CUSTOMER_REQUEST too_late"
TSC = ("--target", "es2022", "--module", "nodenext", "--lib", "es2022,dom,dom.iterable", "--strict")


def run(*command: str | Path, cwd: Path) -> str:
    """What a command prints; it must succeed."""
    done = subprocess.run(
        list(map(str, command)),
        cwd=cwd,
        env=os.environ | {"NO_PROXY": "*"},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, f"{' '.join(map(str, command))}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done.stdout.strip()


def given(stack: Stack) -> tuple[str, str]:
    """Address and token, as both programs take them."""
    return stack.urls["order"], stack.token(f"generated-{uuid.uuid4().hex[:8]}")


@pytest.mark.slow
def test_a_client_by_openapi_python_client_places_and_cancels_orders(stack: Stack, tmp_path: Path):
    python = toolchains.python_with(HERE / "requirements.txt")
    url, token = given(stack)
    generate = (python, "-m", "openapi_python_client", "generate", "--meta", "none", "--output-path", "client")
    run(*generate, "--url", f"{url}/v1/openapi.json", cwd=tmp_path)
    (tmp_path / "order.py").write_text((HERE / "order.py").read_text())
    assert run(python, "order.py", url, token, cwd=tmp_path) == SAID


@pytest.mark.slow
def test_a_client_by_openapi_generator_places_and_cancels_orders(stack: Stack, tmp_path: Path):
    for program, least in (("node", (20,)), ("npm", (9,))):
        toolchains.need(program, ["--version"], least, "the client in TypeScript")
    try:
        home = fetch(["openapi-generator"], lock=HERE / "artifacts.toml")["openapi-generator"]
    except DevstackError as error:
        pytest.skip(str(error))
    compiler = toolchains.made(HERE, ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"])
    url, token = given(stack)
    (jar,) = home.glob("*.jar")
    generate = (java(), "-jar", jar, "generate", "-g", "typescript-fetch", "-o", "client")
    properties = "--additional-properties=importFileExtension=.js"
    run(*generate, properties, "-i", f"{url}/v1/openapi.json", cwd=tmp_path)
    (tmp_path / "order.ts").write_text((HERE / "order.ts").read_text())
    (tmp_path / "package.json").write_text('{"type": "module"}')
    run("node", compiler / "node_modules/typescript/bin/tsc", *TSC, "order.ts", cwd=tmp_path)
    assert run("node", "order.js", url, token, cwd=tmp_path) == SAID

"""The services' workflows, .github/workflows/<service>.yml: each runs where something changed that the service runs on.

What that is follows from services.toml and from imports, so a change in one service starts its own workflow, and one in
the library those of all services. The contracts are checked at every change, by a workflow written by hand; which
commit of an action is used stands there, so that an update of it is one edit and `make docs`.
"""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import grimp

from devstack.folder import CHECKOUT
from devstack.services import EVERY, Service

FOLDER: Final = CHECKOUT / ".github" / "workflows"
BY_HAND: Final = FOLDER / "contracts.yml"
LIBRARY: Final = ("schemas", "waybill", "outbox_relay")
# What runs a service: `python -m waybill SERVICE …`, and its relay where it writes events.
PROGRAM: Final = "waybill.__main__"
RELAY: Final = "outbox_relay.__main__"
# What every service's tests and image stand on, besides what it imports.
ALWAYS: Final = (
    "schemas/**",  # read by topic, whoever imports the classes
    *("services.toml", "pyproject.toml", "uv.lock", "Makefile"),
    *("deploy/Dockerfile", "deploy/Dockerfile.dockerignore", "deploy/ready.py"),
    *("devstack/**", "waybill/testing/**", "tests/**"),
)
WORKFLOW: Final = """\
# Made by `make docs` from services.toml and from imports: do not edit.
name: NAME
on:
  pull_request:
    paths:
PATHS
  push:
    branches: [main]
    paths:
PATHS
permissions: {contents: read}
concurrency:
  group: NAME-${{ github.ref }}
  cancel-in-progress: ${{ github.event_name == 'pull_request' }}
jobs:
  test:
    runs-on: ubuntu-24.04
    timeout-minutes: 45
    steps:
      - uses: actions/checkout@PINNED
        with: {persist-credentials: false}
      - uses: actions/setup-python@PINNED
        with: {python-version: "3.11"}
      - run: make lint
      - name: every test that reaches PACKAGE by imports
        run: make test ARGS="$(.venv/bin/python -m tests.support.reaching PACKAGE)"
  image:
    runs-on: ubuntu-24.04
    timeout-minutes: 20
    steps:
      - uses: actions/checkout@PINNED
        with: {persist-credentials: false}
      - run: docker build --file deploy/Dockerfile --target programs --tag waybill/programs:candidate .
      - name: the image loads PACKAGE, read-only and without rights
        run: >-
          docker run --rm --read-only --cap-drop=all --network=none
          --env WAYBILL_DATABASE_URL=postgresql://nobody@127.0.0.1/none
          waybill/programs:candidate python -m waybill PACKAGE manage check
"""


def workflows(services: Iterable[Service] = EVERY.values()) -> dict[Path, str]:
    """Return the text of every service's workflow, as it should be."""
    every = tuple(services)
    graph = grimp.build_graph(*LIBRARY, *(service.package for service in every))
    return {FOLDER / f"{service.name}.yml": workflow(graph, service, every) for service in every}


def workflow(graph: grimp.ImportGraph, service: Service, every: Iterable[Service]) -> str:
    """Return the text of a service's workflow."""
    others = [f"!tests/unit/{other.package}/**" for other in every if other != service]
    own = f".github/workflows/{service.name}.yml"
    listed = "\n".join(
        f'      - "{path}"' for path in dict.fromkeys([*folders(reached(graph, service)), *ALWAYS, *others, own])
    )
    pinned = dict(re.findall(r"uses: ([\w/-]+)@(.+)", BY_HAND.read_text()))
    text = re.sub(r"([\w/-]+)@PINNED", lambda found: f"{found[1]}@{pinned[found[1]]}", WORKFLOW)
    return text.replace("PATHS", listed).replace("PACKAGE", service.package).replace("NAME", service.name)


def reached(graph: grimp.ImportGraph, service: Service) -> set[str]:
    """Return every module that a service's programs import, even indirectly, and its own."""
    found: set[str] = set()
    programs = {PROGRAM, *({RELAY} if "relay" in service.programs else ())}
    waiting = {service.package, *graph.find_descendants(service.package), *programs}
    while waiting:
        module = waiting.pop()
        found.add(module)
        waiting |= graph.find_modules_directly_imported_by(module) - found
    return found


def folders(modules: Iterable[str]) -> list[str]:
    """Return the modules' paths: a service and its schemas whole, of the library the packages in it."""
    found: set[str] = set()
    for module in modules:
        top, _, rest = module.partition(".")
        if top == "schemas" or top.endswith("_service"):
            found.add(f"{top}/**")
        else:
            inner = rest.partition(".")[0]
            found.add(f"{top}/{inner}/**" if (CHECKOUT / top / inner).is_dir() else f"{top}/{inner}.py")
    return sorted(found)

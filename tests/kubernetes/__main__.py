"""`make k8s`: apply deploy/kubernetes to a real API server, and hold what it keeps against what is meant.

The last line is JSON: how many objects the server took and refused, and how many were left out since it does not know
their kind.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence

import pytest

from devstack.harness.interrupts import end_tidily
from devstack.services import EVERY
from tests.kubernetes import access, control_plane, opened
from tests.kubernetes.api import Api
from tests.kubernetes.applying import Applied, define
from tests.kubernetes.definitions import definitions
from tests.support import toolchains
from tests.support.kubernetes import network, programs, schemas
from tests.support.kubernetes.rendering import FOLDER, rendered, rendered_folder, whole

GATEWAY = FOLDER / "gateway"


def main(arguments: Sequence[str] | None = None) -> int:
    """Return the exit code: 0 where all held, or where there is no Go."""
    parser = argparse.ArgumentParser(prog="python -m tests.kubernetes", description=__doc__)
    parser.add_argument("--write-schemas", action="store_true", help="write what CI validates the manifests with")
    chosen = parser.parse_args(arguments)
    end_tidily()
    try:
        if toolchains.found("go") is None:
            pytest.skip("no Go: the API server is built with it")
        began = time.monotonic()
        program = control_plane.built()
        say(f"{program}: {program.stat().st_size / 1e6:.0f} MB, there after {time.monotonic() - began:.0f} s")
    except pytest.skip.Exception as reason:
        say(json.dumps({"applied": 0, "refused": 0, "left_out": 0, "skipped": str(reason)}))
        return 0
    with control_plane.running() as api:
        say(f"API server {api.get('/version')['gitVersion']} ready after {time.monotonic() - began:.0f} s")
        for definition in definitions():
            define(api, definition)
        done = Applied()
        for service in EVERY:
            done.apply(api, rendered(service, migration=True))
            done.apply(api, rendered(service))
        done.apply(api, rendered_folder(GATEWAY))
        if chosen.write_schemas:
            schemas.FILE.write_text(schemas.in_text(published(api)))
        wrong = [*done.refused, *done.warnings]
        wrong += looked_at(api) if not done.refused else ()
    wrong += control_plane.left(program)
    for line in wrong:
        say(f"wrong: {line}")
    say(json.dumps({"applied": done.applied, "refused": len(done.refused), "left_out": done.left_out}))
    return 1 if wrong else 0


def looked_at(api: Api) -> Iterator[str]:
    """Yield what is other than it has to be, of what the server keeps and answers."""
    pods = refused = asked = 0
    for service in EVERY:
        began = time.monotonic()
        objects = api.kept(whole(service))
        namespace = f"waybill-{service}"
        yield from (found := programs.wrong(service, objects))
        if not network.denied_by_default(objects):
            yield f"{service}: nothing denies by default"
        for name in (names := access.accounts(objects)):
            yield from access.rights(api, namespace, name)
        asked += len(names)
        yield from access.may_run(api, namespace, objects)
        count, taken = access.violations(api, namespace, objects)
        yield from taken
        pods, refused = pods + count + len(taken), refused + count
        if not found:  # else what would be started is not what is meant
            yield from opened.differences(service, objects)
        say(f"{service}: looked at {len(objects)} objects in {time.monotonic() - began:.0f} s")
    say(f"{asked} accounts may do nothing; of {pods} pods that violate `restricted` {refused} were refused")
    access.see_a_role(api, f"waybill-{next(iter(EVERY))}", "programs")
    if schemas.FILE.read_text() != schemas.in_text(published(api)):
        yield f"{schemas.FILE} is not what the server publishes: make k8s ARGS=--write-schemas"


def published(api: Api) -> dict[str, object]:
    """Return what the server says the kinds look like that are used here."""
    kinds = {schemas.key(one) for service in EVERY for one in whole(service)}
    return schemas.extracted(api.get("/openapi/v2"), kinds)


def say(line: str) -> None:
    """Print a line at once: minutes pass between some of them."""
    print(line, flush=True)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)

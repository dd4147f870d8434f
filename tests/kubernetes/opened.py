"""Each program started with what its manifest tells it: it must start, answer its probes, and listen where it says.

No part that it calls is there, and its ports are replaced by free ones of this machine.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import httpx2 as httpx
import psutil
from cryptography.fernet import Fernet

from devstack.folder import CHECKOUT
from devstack.harness.wait import wait_until
from tests.support.kubernetes.programs import PROBES
from tests.support.kubernetes.rendering import Manifest, command, identity, of_kind, ports, variables
from tests.support.providers.process import free_port

NOWHERE: Final = "127.0.0.1:1"
MOUNTED: Final = "/secrets/"
PORTS: Final = ("WAYBILL_PORT", "WAYBILL_HEALTH_PORT")
START_SECONDS: Final = 90  # a deadline only
# What stands in the files of each Secret that docs/how-to/deploy-on-kubernetes.md names.
SECRETS: Final = {
    "database/url": f"postgresql://nobody@{NOWHERE}/none",
    "kafka/client.properties": "security.protocol=SSL\n",
    "encryption/keys": Fernet.generate_key().decode(),
    "provider/key": "sk_test_none",
    "reading/databases": f"order=postgresql://nobody@{NOWHERE}/none",
    "reading/session-key": "trial",
}


def differences(service: str, objects: Iterable[Manifest]) -> Iterator[str]:
    """Yield what of a service's programs is other than their manifests say."""
    kept = tuple(objects)
    for one in of_kind(kept, "Deployment"):
        with tempfile.TemporaryDirectory(prefix="waybill-k8s-") as folder:
            for line in started(one, kept, Path(folder)):
                yield f"{service}: {identity(one)[1]}: {line}"


def started(deployment: Manifest, objects: tuple[Manifest, ...], folder: Path) -> Iterator[str]:
    """Start one program, ask it what its probes ask, and look where it listens."""
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    free = {port: free_port() for port in ports(container).values()}
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, *command(container, objects)[1:]],
            cwd=CHECKOUT,
            env={"PATH": os.environ["PATH"], **environment(variables(container, objects), free, folder)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        health = free[ports(container)["health"]]

        def answers() -> bool:
            assert process.poll() is None, f"{deployment['metadata']['name']} ended:\n{log.read_text()[-2000:]}"
            return status(health, container["livenessProbe"]["httpGet"]["path"]) == httpx.codes.OK

        wait_until(answers, deadline_seconds=START_SECONDS, what=f"/livez of {container['command']}")
        asked = {container[probe]["httpGet"]["path"] for probe in PROBES}
        told = {httpx.codes.OK, httpx.codes.SERVICE_UNAVAILABLE}  # not ready: nothing that it calls is there
        yield from (f"{path} is answered {code}" for path in asked if (code := status(health, path)) not in told)
        wanted = set(free.values())
        wait_until(lambda: listening(process.pid) >= wanted, deadline_seconds=START_SECONDS, what=f"{wanted} opened")
        if also := listening(process.pid) - wanted:
            yield f"it opens {also} too"
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def environment(told: dict[str, str], free: dict[int, int], folder: Path) -> dict[str, str]:
    """Return a program's variables with this machine's ports, and with secrets in files of this folder."""
    found = {**told, "WAYBILL_HOST": "127.0.0.1"}
    for name, value in told.items():
        if name in PORTS:
            found[name] = str(free[int(value)])
        elif value.startswith(MOUNTED):
            file = folder / value.removeprefix(MOUNTED)
            file.parent.mkdir(exist_ok=True)
            file.write_text(SECRETS[value.removeprefix(MOUNTED)])
            found[name] = str(file)
        elif name == "WAYBILL_KAFKA_BOOTSTRAP":
            found[name] = NOWHERE
    return found


def status(port: int, path: str) -> int:
    """Return the status of an answer; 0 where there is none."""
    with suppress(httpx.TransportError):
        return httpx.get(f"http://127.0.0.1:{port}{path}", timeout=10, trust_env=False).status_code
    return 0


def listening(pid: int) -> set[int]:
    """Return the TCP ports that a process listens on."""
    return {one.laddr.port for one in psutil.Process(pid).net_connections("tcp") if one.status == psutil.CONN_LISTEN}

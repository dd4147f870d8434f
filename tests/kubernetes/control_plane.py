"""An etcd and a kube-apiserver on loopback, with data in a folder that is removed.

Both end with this process, also where it is killed: they watch a pipe that it holds.
"""

import secrets
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from devstack.folder import CHECKOUT
from devstack.harness.interrupts import undisturbed
from devstack.harness.wait import wait_until
from tests.kubernetes.api import Api, Unanswered
from tests.support import toolchains
from tests.support.providers.process import free_port

SOURCE: Final = CHECKOUT / "tests" / "support" / "kubernetes" / "cluster"
PROGRAM: Final = "cluster"
BUILD_SECONDS: Final = 3_600  # 11 minutes of CPU, once
START_SECONDS: Final = 120
STOP_SECONDS: Final = 20
HOST: Final = "127.0.0.1"
# What its authors' own build says of itself, without symbols for a debugger.
VERSION: Final = "k8s.io/component-base/version"
LINKED: Final = f"-s -w -X {VERSION}.gitVersion=v1.34.0 -X {VERSION}.gitMajor=1 -X {VERSION}.gitMinor=34"


def built() -> Path:
    """Return the program, built once for what its sources are now."""
    compiler = toolchains.found("go")
    assert compiler is not None
    command = [compiler, "build", "-ldflags", LINKED, "-o", PROGRAM, "."]
    return toolchains.made(SOURCE, command, seconds=BUILD_SECONDS, **toolchains.GO) / PROGRAM


@dataclass(frozen=True)
class Process:
    """One of the two, and where it writes its log."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    def fail_if_ended(self) -> None:
        """Raise AssertionError with the log's end where it has ended by itself."""
        if (code := self.process.poll()) is not None:
            raise AssertionError(f"{self.name} ended with {code}:\n{self.log.read_text()[-3000:]}")

    def stop(self) -> None:
        """Have it end, and wait for that."""
        self.process.terminate()
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@contextmanager
def running() -> Iterator[Api]:
    """Start both, hand over a client with every right, and stop both whatever happens."""
    program = built()
    with tempfile.TemporaryDirectory(prefix="waybill-k8s-") as name, ExitStack() as started:
        folder = Path(name)
        etcd, peer, port = free_port(), free_port(), free_port()
        started.enter_context(_process(program, "etcd", folder, etcd_flags(folder, etcd, peer)))
        token = secrets.token_urlsafe(32)
        server = started.enter_context(
            _process(program, "apiserver", folder, apiserver_flags(folder, etcd, port, token))
        )
        api = Api(f"https://{HOST}:{port}", token, folder / "apiserver.crt")
        started.callback(api.close)
        wait_until(
            lambda: server.fail_if_ended() or _is_ready(api),
            deadline_seconds=START_SECONDS,
            what="the API server",
        )
        yield api


def _is_ready(api: Api) -> bool:
    try:
        return api.is_ready()
    except Unanswered:
        return False


@contextmanager
def _process(program: Path, name: str, folder: Path, flags: list[str]) -> Iterator[Process]:
    log = folder / f"{name}.log"
    with log.open("wb") as output:
        running = subprocess.Popen(
            [program, name, *flags],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            cwd=folder,
            start_new_session=True,  # a terminal's Ctrl-C goes to every process of the session
        )
    one = Process(name, running, log)
    try:
        yield one
    finally:
        with undisturbed():
            one.stop()
            assert running.stdin is not None
            running.stdin.close()


def etcd_flags(folder: Path, port: int, peer: int) -> list[str]:
    """Return what etcd is told: to listen on loopback, and not to wait for the disk."""
    own, peers = f"http://{HOST}:{port}", f"http://{HOST}:{peer}"
    return [
        f"--data-dir={folder / 'etcd'}",
        f"--listen-client-urls={own}",
        f"--advertise-client-urls={own}",
        f"--listen-peer-urls={peers}",
        f"--initial-advertise-peer-urls={peers}",
        f"--initial-cluster=default={peers}",
        "--unsafe-no-fsync",
        "--log-level=warn",
    ]


def apiserver_flags(folder: Path, etcd: int, port: int, token: str) -> list[str]:
    """Return what the API server is told: RBAC, its usual admission, and one token that may do everything."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    signing, tokens = folder / "accounts.key", folder / "tokens.csv"
    for path, text in (
        (
            signing,
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            ),
        ),
        (tokens, f'{token},admin,admin,"system:masters"\n'.encode()),
    ):
        path.touch(mode=0o600)
        path.write_bytes(text)
    return [
        f"--etcd-servers=http://{HOST}:{etcd}",
        f"--bind-address={HOST}",
        f"--advertise-address={HOST}",
        f"--secure-port={port}",
        f"--cert-dir={folder}",
        f"--token-auth-file={tokens}",
        "--authorization-mode=RBAC",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-signing-key-file={signing}",
        f"--service-account-key-file={signing}",
        "--service-cluster-ip-range=10.0.0.0/24",
        "--endpoint-reconciler-type=none",  # a loopback address may be nobody's endpoint
        "--allow-privileged=true",  # so that it is PodSecurity that refuses
    ]


def left(program: Path) -> list[str]:
    """Name what still runs of this program."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/exe"):
        try:
            if str(entry.readlink()).removesuffix(" (deleted)") == str(program):
                found.append(f"process {entry.parent.name}")
        except OSError:  # it ended, or is another user's
            continue
    return found

"""One Envoy for these tests, on documents that have a path for each setting, and backends that the tests lead."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from devstack import tokens
from tests.support.certificates import Authority
from tests.support.gateway.backends import Backend, serving
from tests.support.gateway.running import Gateway, running

DOCUMENTS = Path(__file__).with_name("documents.yaml")
BACKENDS = ("one", "two", "slow", "lossy", "good", "bad")
NOWHERE = "127.0.0.1:9"


@dataclass(frozen=True)
class Scene:
    """The gateway, what is behind it, and who may come in."""

    gateway: Gateway
    backends: dict[str, Backend]
    home: Path

    def token(self, subject: str, lifetime_seconds: int = 600) -> str:
        return tokens.mint(self.home, subject, "orders", lifetime_seconds)


@pytest.fixture(scope="session")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    home = tmp_path_factory.mktemp("gateway")
    tokens.prepare(home)
    pem = Authority(home / "ca.pem").issue(home / "pair.pem").read_text()
    (home / "tls").mkdir()
    for name in ("tls.crt", "tls.key"):
        (home / "tls" / name).write_text(pem)
    with ExitStack() as stack:
        backends = {name: stack.enter_context(serving(name)) for name in BACKENDS}
        addresses = {name: one.address for name, one in backends.items()} | {"nowhere": NOWHERE}
        addresses["pair"] = f"{backends['good'].address},{backends['bad'].address}"
        documents = DOCUMENTS.read_text()
        keys = tokens.jwks_file(home)
        gateway = stack.enter_context(running(home / "run", documents, addresses, tls=home / "tls", keys=keys))
        yield Scene(gateway, backends, home)

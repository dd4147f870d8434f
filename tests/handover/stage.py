"""The stage of a run: the shop in two deployments, the orders' service, and what stands between them."""

import json
import shutil
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg

from devstack.harness.interrupts import undisturbed
from devstack.harness.stack import CHECKOUT, Stack, running
from devstack.harness.wait import wait_until
from devstack.ports import HOST, choose
from tests.handover.programs import Kept
from tests.support import environments
from tests.support.environments import Environment, surroundings
from waybill.gateway.envoy import program as envoy
from waybill.gateway.site import Site

MONOLITH = CHECKOUT / "examples" / "monolith"
AGGREGATE = "orders"
PORTS = (
    "shop",
    "shop-services",
    "orders",
    "gate-1",
    "gate-2",
    "http",
    "admin",
    "relay-1",
    "relay-2",
    "in-1",
    "in-2",
    "health-1",
    "health-2",
)
VERB_SECONDS = 120
HERE, THERE = "shop", "shop_orders"
DOCUMENTS = """
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: here}
spec:
  gatewayClassName: envoy
  listeners: [{name: http, protocol: HTTP, port: 80}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: shop}
spec:
  parentRefs: [{name: here}]
  rules:
    - name: reads-there
      matches: [{method: GET, headers: [{name: x-waybill-owner, value: there}]}]
      backendRefs: [{name: shop-services, port: 80}]
    - name: writes-there
      matches: [{headers: [{name: x-waybill-owner, value: there}]}]
      backendRefs: [{name: shop-services, port: 80}]
    - name: reads-here
      matches: [{method: GET}]
      backendRefs: [{name: shop, port: 80}]
    - name: writes-here
      matches: [{path: {value: /}}]
      backendRefs: [{name: shop, port: 80}]
---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: SecurityPolicy
metadata: {name: owner}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: shop}]
  extAuth:
    failOpen: false
    recomputeRoute: true
    statusOnError: 503
    timeout: 12s
    http:
      backendRefs: [{name: gate, port: 80}]
      path: /orders
      headersToBackend: [x-waybill-owner]
      backendSettings:
        retry: {numRetries: 3, retryOn: {triggers: [connect-failure, refused-stream, reset]}}
---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: BackendTrafficPolicy
metadata: {name: time}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: shop}]
  timeout: {http: {requestTimeout: 60s}}
"""


@dataclass
class Side:
    """A Django project with its database."""

    name: str
    folder: Path
    environment: Environment
    variables: dict[str, str]
    url: str

    def manage(self, *arguments: str, **more: str) -> str:
        """Return what a management command prints."""
        return self.environment.run("manage.py", *arguments, cwd=self.folder, timeout=180, **(self.variables | more))

    def verb(self, *arguments: str) -> "subprocess.Popen[str]":
        """Start a verb of `waybill migrate`."""
        return subprocess.Popen(
            self.environment.command("-m", "waybill", "migrate", *arguments),
            cwd=self.folder,
            env=surroundings(**self.variables),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """Return what its database answers."""
        with psycopg.connect(self.url, autocommit=True, connect_timeout=3) as connection:
            found = connection.execute(query, values or None)
            return found.fetchall() if found.description else []


@dataclass
class Stage:
    """All that runs."""

    stack: Stack
    folder: Path
    ports: dict[str, int]
    here: Side
    there: Side
    programs: dict[str, Kept] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """Return the gateway's address."""
        return f"http://{HOST}:{self.ports['http']}"

    @property
    def admin(self) -> str:
        """Return Envoy's own address."""
        return f"{HOST}:{self.ports['admin']}"

    def owner(self) -> Side | None:
        """Return the side that owns the orders; None where neither does, or nobody can tell."""
        with suppress(psycopg.Error):
            for side in (self.here, self.there):
                found = side.rows("SELECT is_owner FROM waybill_ownership WHERE source = %s", AGGREGATE)
                if found == [(True,)] or (not found and side is self.here):
                    return side
        return None

    def keep(self, name: str, side: Side, *arguments: str, **more: str) -> Kept:
        """Start a program of a side, and keep it running."""
        command = side.environment.command(*arguments)
        return self._kept(name, command, side.folder, surroundings(**(side.variables | more)))

    def gateway_is_ready(self) -> bool:
        """Tell whether Envoy takes requests."""
        with suppress(OSError, HTTPException):
            return set(envoy.stats(self.admin, "listener_manager.workers_started").values()) == {"1"}
        return False

    def _kept(self, name: str, command: Sequence[str], folder: Path, environment: dict[str, str]) -> Kept:
        kept = Kept(name, command, folder, environment, self.folder / f"{name}.log")
        self.programs[name] = kept
        kept.start()
        return kept

    def start(self) -> None:
        """Start every program."""
        for number, side in enumerate((self.here, self.there), 1):
            self.keep(f"relay.{side.name}", side, "manage.py", "relay", WAYBILL_PORT=str(self.ports[f"relay-{number}"]))
            self.keep(f"consume.{side.name}", side, "manage.py", "consume", "--port", str(self.ports[f"in-{number}"]))
            self.keep(f"run.{side.name}", side, "-m", "waybill", "migrate", "run")
        serve = ("-m", "gunicorn", "--threads", "8", "--keep-alive", "60", "--log-level", "warning", "--bind")
        bind = {name: f"{HOST}:{self.ports[name]}" for name in self.ports}
        self.keep("orders", self.there, *serve, bind["orders"])
        self.keep("shop", self.here, *serve, bind["shop"], "shop.wsgi")
        on_services = {"DJANGO_SETTINGS_MODULE": "shop.settings.services", "SHOP_ON_SERVICES": "orders"}
        on_services["ORDERS_URL"] = f"http://{bind['orders']}/v1"
        self.keep("shop-services", self.here, *serve, bind["shop-services"], "shop.wsgi", **on_services)
        for number in ("1", "2"):
            ports = ("--port", str(self.ports[f"gate-{number}"]), "--health-port", str(self.ports[f"health-{number}"]))
            self.keep(f"gate.{number}", self.here, "-m", "waybill", "migrate", "gate", "--host", HOST, *ports)
        self._start_gateway(bind)
        for name in ("orders", "shop", "shop-services", "gate-1", "gate-2"):
            kept = self.programs[name.replace("-1", ".1").replace("-2", ".2") if name.startswith("gate") else name]
            kept.until_ready(lambda name=name: listens(self.ports[name]))
        self.programs["gateway"].until_ready(self.gateway_is_ready)

    def _start_gateway(self, bind: dict[str, str]) -> None:
        documents, site = self.folder / "documents", self.folder / "site.json"
        documents.mkdir()
        (documents / "all.yaml").write_text(DOCUMENTS)
        backends = {"shop": bind["shop"], "shop-services": bind["shop-services"]}
        backends["gate"] = f"{bind['gate-1']},{bind['gate-2']}"
        Site(backends=backends, listeners={"http": bind["http"]}, admin=self.admin).save(site)
        command = self.here.environment.command("-m", "waybill", "gateway", "serve", str(documents))
        command += [f"--site={site}", f"--folder={self.folder / 'gateway'}"]
        self._kept("gateway", command, self.folder, surroundings())

    def stop(self) -> None:
        """Stop every program."""
        for kept in reversed(self.programs.values()):
            kept.stop()


def listens(port: int) -> bool:
    """Tell whether somebody listens at a port."""
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


@contextmanager
def stage(folder: Path) -> Iterator[Stage]:
    """Start everything, with an empty shop; stop it whatever happens."""
    with ExitStack() as ending, running(folder / "stack", only=("postgres", "kafka", "registry")) as stack:
        made = _made(folder, stack)
        prepare(made)

        def stop() -> None:
            with undisturbed():
                made.stop()

        ending.callback(stop)
        made.start()
        try:
            yield made
        finally:
            stop()


def _made(folder: Path, stack: Stack) -> Stage:
    wheel = environments.build_wheel(folder)
    extras = "rest-backend,rest,contracts,relay,inbox,gateway"
    wanted = (f"waybill[{extras}] @ {wheel.as_uri()}", "gunicorn>=23", "django~=5.2.0", "psycopg[binary]>=3.2")
    environment = environments.make(folder / "venv", *wanted, python=environments.newest_python())
    copy = folder / "monolith"
    shutil.copytree(MONOLITH, copy, ignore=shutil.ignore_patterns("__pycache__"))
    server = urlsplit(stack.superuser_url)
    shared = {
        "DB_USER": server.username or "",
        "DB_PASSWORD": server.password or "",
        "DB_HOST": server.hostname or "",
        "DB_PORT": str(server.port),
        "SHOP_TOKEN": "of the run",
        "WAYBILL_KAFKA_BOOTSTRAP": stack.kafka,
        "WAYBILL_REGISTRY_URL": f"{stack.urls['registry']}/apis/ccompat/v7",
        "SHOP_DATABASE_URL": stack.database(HERE),
        "ORDERS_DATABASE_URL": stack.database(THERE),
    }
    here = Side("shop", copy, environment, shared | _names(HERE, "shop.settings.moving"), stack.database(HERE))
    there = Side(
        "orders", copy / "services", environment, shared | _names(THERE, "orders.moving"), stack.database(THERE)
    )
    return Stage(stack, folder, choose(PORTS, {}, {}), here, there)


def _names(database: str, settings: str) -> dict[str, str]:
    return {"DB_NAME": database, "SERVICE_DB_NAME": database, "DJANGO_SETTINGS_MODULE": settings}


def prepare(made: Stage) -> None:
    """Make both databases, and the contracts."""
    with psycopg.connect(made.stack.superuser_url, autocommit=True) as server:
        for name in (HERE, THERE):
            server.execute(f"CREATE DATABASE {name}")
    for side in (made.here, made.there):
        side.manage("migrate", "-v0")
        side.manage("contracts", "topics")
        side.manage("contracts", "register")


def finished(verb: "subprocess.Popen[str]") -> tuple[int, list[dict[str, Any]], str]:
    """Wait for a verb; return its exit code, its JSON lines, and what it said."""
    try:
        out, err = verb.communicate(timeout=VERB_SECONDS)
    except subprocess.TimeoutExpired:
        verb.kill()
        out, err = verb.communicate()
    lines = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
    return verb.returncode, lines, out + err


def wait_for(look: Any, what: str, seconds: float = 60) -> Any:
    """Wait for something of the stage."""
    return wait_until(look, deadline_seconds=seconds, what=what, every_seconds=0.1)

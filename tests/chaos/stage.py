"""A stack of the run's own: every program behind its links, its fail points, its clock, its small disk.

It is put together from the same parts as `make up`; only addresses and commands are rewritten on the way.
"""

import os
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from xmlrpc.client import Fault

import psutil
import psycopg

from devstack import parts, services
from devstack import stack as devstack
from devstack.cache import aot, artifacts
from devstack.folder import Folder
from devstack.harness.interrupts import undisturbed
from devstack.harness.stack import CHECKOUT, Stack
from devstack.harness.wait import wait_until
from devstack.infrastructure import postgres
from devstack.parts import Part, Site, Step
from devstack.ports import HOST, choose
from devstack.processes import leftovers, supervisor
from devstack.processes import state as states
from devstack.processes.launch import Launch
from tests.chaos.clock import Clock
from tests.chaos.disk import Disk
from tests.chaos.links import Links, server

SERVICES = tuple(services.SERVICES)
# Longer than twenty seconds, so that one freeze is within it and the longest is not.
MAX_POLL_SECONDS = 25
CONNECTIONS = 400  # room for 300 idle ones beside everybody
SETTINGS = {"WAYBILL_ORDER_DEADLINE": "PT30S", "PROVIDER_SLOW_SECONDS": "2", "PROVIDER_TIMEOUT_SECONDS": "6"}
BACK_SECONDS = 90
HEAL_SECONDS = 180  # in which every program runs again, whatever else the machine does
STILL = {"STOPPED", "FATAL", "EXITED"}


@dataclass
class Stage:
    """A running stack, and the means to disturb it."""

    stack: Stack
    folder: Folder
    site: Site
    links: Links | None
    clock: Clock
    disk: Disk
    points: Path
    wrapper: tuple[str, ...] = ()
    settings: Mapping[str, str] = field(default_factory=lambda: SETTINGS)
    extra: list[subprocess.Popen[bytes]] = field(default_factory=list)
    stopping: threading.Event = field(default_factory=threading.Event)

    @property
    def proxy(self) -> Links:
        """Return the links; only for faults that need them."""
        assert self.links is not None
        return self.links

    def hold(self, seconds: float) -> None:
        """Let a fault last so long, or until the run is told to stop."""
        self.stopping.wait(seconds)

    def family(self, name: str) -> list[psutil.Process]:
        """Return a program's process and its children; empty while it is down."""
        pid = self.stack.pid(name)
        with suppress(psutil.Error):
            if pid:
                one = psutil.Process(pid)
                return [one, *one.children(recursive=True)]
        return []

    def tell(self, name: str, number: signal.Signals) -> int:
        """Signal a program's own process and return its pid; 0 where it is down."""
        pid = self.stack.pid(name)
        with suppress(ProcessLookupError):
            if pid:
                os.kill(pid, number)
                return pid
        return 0

    def freeze(self, name: str, number: signal.Signals) -> None:
        """Stop or continue a program with its children."""
        for one in self.family(name):
            with suppress(psutil.Error):
                one.send_signal(number)

    def until_back(self, name: str, before: int) -> None:
        """Wait until the supervisor has restarted the program."""
        wait_until(lambda: self.stack.pid(name) not in {0, before}, deadline_seconds=BACK_SECONDS, what=f"{name} again")

    def arm(self, service: str, point: str, action: str) -> Path:
        """Arm a fail point of one service; the file is gone once a process was there."""
        file = self.points / f"{service}_service.{point}"
        draft = self.points / f".{file.name}"
        draft.write_text(action)
        draft.replace(file)
        return file

    @contextmanager
    def beside(self, name: str, number: int) -> Iterator[subprocess.Popen[bytes]]:
        """Run one more of a program than the stack has; killed at the end of the block where it still runs."""
        service, _, kind = name.partition(".")
        part = self._rewired(parts.program(self.site, service, kind))
        port, health_port = choose([f"{name}.{number}", f"{name}.{number}.health"], {}, {}).values()
        environment = {
            **parts.inherited(),
            leftovers.MARK: str(self.folder.path),
            **part.environment,
            "WAYBILL_PORT": str(port),
            **({"WAYBILL_HEALTH_PORT": str(health_port)} if kind == "web" else {}),
            "WAYBILL_CONSUMER_INSTANCE": f"{name}.{number}",
        }
        environment.pop("WAYBILL_RELAY_WAKE_UP", None)
        with (self.folder.log / f"{name}.{number}.log").open("ab") as log:
            process = subprocess.Popen(
                part.command, cwd=CHECKOUT, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        self.extra.append(process)
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGCONT)
                process.kill()
            process.wait(10)

    def superuser(self, database: str = "postgres") -> psycopg.Connection[Any]:
        """Return a session past all links, as superuser."""
        return psycopg.connect(self.stack.database(database), autocommit=True, connect_timeout=3)

    def heal(self) -> None:
        """End every fault, whatever was left of it, and wait until every program runs."""
        self.clock.set(0)
        self.disk.free()
        for file in self.points.iterdir():
            file.unlink(missing_ok=True)
        for process in leftovers.find(self.folder.path):
            with suppress(psutil.Error):
                process.send_signal(signal.SIGCONT)
        self.freeze("postgres", signal.SIGCONT)
        if self.links is not None:
            self.links.heal()
        wait_until(self._all_run, deadline_seconds=HEAL_SECONDS, what="every program runs", every_seconds=0.2)

    def _all_run(self) -> bool:
        """Start what stands still, at each look anew, and tell whether every program runs.

        One that was being stopped at the last look stands still at this one. One that failed to start some times, while
        what it needs was away, would wait for as many seconds: it is stopped, and so started at the next look. Under
        load the supervisor may not answer; then nobody knows.
        """
        try:
            states = {name: info["statename"] for name, info in supervisor.processes(self.folder).items()}
            for name, state in states.items():
                method = {"BACKOFF": "stopProcess"}.get(state, "startProcess" if state in STILL else None)
                if method is not None:
                    with suppress(Fault):  # the supervisor was quicker
                        supervisor.call(self.folder, method, name, supervisor.NO_WAIT)
        except supervisor.AWAY:
            return False
        return set(states.values()) == {"RUNNING"}

    def migrate(self, service: str) -> None:
        """Run a service's `migrate`, which also grants what its roles need."""
        environment = parts.inherited() | parts.service_environment(self.site, service, "migrate")
        command = parts.python("waybill", f"{service}_service", "migrate")
        subprocess.run(command, cwd=CHECKOUT, env=environment, check=True, capture_output=True, timeout=BACK_SECONDS)

    def stop_for_good(self, name: str) -> None:
        """Stop a program; the supervisor leaves it so."""
        supervisor.call(self.folder, "stopProcess", name)

    def _rewired(self, part: Part) -> Part:
        environment = {**part.environment}
        if "waybill" in part.command or "outbox_relay" in part.command:
            environment |= {**self.settings, **self.clock.environment(part.name)}
            environment["WAYBILL_FAIL_POINTS"] = str(self.points)
            if part.name.endswith(".consumer"):
                environment["WAYBILL_KAFKA_PROPERTIES_FILE"] = str(self.folder.run / "kafka.properties")
            part = replace(part, command=(part.command[0], "-m", *self.wrapper, *part.command[2:]))
        if part.name == "provider":
            environment |= self.settings
        if part.name == "postgres":
            part = replace(part, command=(*part.command, f"--max_connections={CONNECTIONS}"))
        if self.links is None:
            return replace(part, environment=environment)
        if part.name == "kafka":
            advertised = f"advertised.listeners=PLAINTEXT://{HOST}:{self.links.ports['kafka']}"
            return replace(part, command=(*part.command, "--override", advertised))
        service = part.name.partition(".")[0]
        for link, port in self.links.ports.items():
            own, _, _ = link.partition(".")
            if link.endswith(".postgres") and own != service:
                continue
            target = self.links.targets[link]
            environment = {k: v.replace(f":{target}", f":{port}") for k, v in environment.items()}
        if service == "notification" and "WAYBILL_SMTP_PORT" in environment:
            environment["WAYBILL_SMTP_PORT"] = str(self.links.ports["mailbox"])
        return replace(part, environment=environment)


def _links(folder: Folder, site: Site, program: Path | None) -> tuple[Links | None, list[Part | Step]]:
    if program is None:
        return None, []
    targets = {f"{service}.postgres": site.ports["postgres"] for service in SERVICES}
    targets |= {"kafka": site.ports["kafka"], "provider": site.ports["provider"], "mailbox": site.ports["mailbox.smtp"]}
    ports = choose(["toxiproxy", *(f"link.{name}" for name in targets)], {}, {})
    url = f"http://{HOST}:{ports['toxiproxy']}"
    part = Part(
        name="toxiproxy",
        command=(str(program), "-host", HOST, "-port", str(ports["toxiproxy"])),
        probe=f"{url}/version",
        tier=0,
        environment={"LOG_LEVEL": "error"},
    )
    links = Links(url, targets, {name: ports[f"link.{name}"] for name in targets})
    return links, [part, Step(name="links", needs=frozenset({"toxiproxy"}))]


def _start(stage: Stage, chosen: Sequence[str], homes: Mapping[str, Path], proxy: list[Part | Step]) -> None:
    folder, site = stage.folder, stage.site
    postgres.prepare_for_root(folder)
    plan, functions = devstack.make_plan(site, folder, chosen, homes)
    rewired = [stage._rewired(task) if isinstance(task, Part) else task for task in plan]
    if stage.links is not None:
        functions["links"] = stage.links.make
        rewired = [replace(task, needs=task.needs | {"links"}) for task in rewired]
    create = functions["databases"]

    def databases() -> None:
        create()
        stage.disk.take(stage.superuser)

    functions["databases"] = databases
    plan = [*proxy, *rewired]
    supervisor.write_config(folder, [task for task in plan if isinstance(task, Part)])
    supervisor.start(folder)
    Launch(folder, plan, functions, lambda *_: None).run()
    states.write(folder, devstack.describe(site, folder, chosen))


@contextmanager
def running(
    home: Path, *, wrapper: tuple[str, ...] = (), services: str = "", settings: Mapping[str, str] = SETTINGS
) -> Iterator[Stage]:
    """Start the stack in a folder; stops it and wipes its data whatever happens."""
    folder = Folder(home)
    chosen = parts.select(services)
    homes = artifacts.fetch(chosen)
    aot.train(homes)
    folder.prepare()
    site = devstack.settle(folder, chosen, {})
    program = server()
    links, proxy = _links(folder, site, program)
    points = folder.run / "points"
    points.mkdir()
    (folder.run / "kafka.properties").write_text(f"max.poll.interval.ms={MAX_POLL_SECONDS * 1000}\n")
    stack = Stack(home, {**os.environ, "WAYBILL_HOME": str(home)})
    with Clock.made(folder.run) as clock, Disk.mounted(folder.postgres.parent) as disk:
        stage = Stage(stack, folder, site, links, clock, disk, points, wrapper, settings)
        try:
            _start(stage, chosen, homes, proxy)
            yield stage
        finally:
            with undisturbed():
                stage.stopping.set()
                for process in leftovers.find(folder.path):
                    with suppress(psutil.Error):
                        process.send_signal(signal.SIGCONT)
                devstack.clear(folder)
    devstack.reset(folder)

"""Start, stop and wipe a stack: the order of things, and what to do when one of them fails.

up     one command at a time (lock) → clear what a killed run left → ports, secrets → data of a template where there is
none yet → supervisor → launch → demo → state.json; whatever fails on the way, everything started is stopped again
down   remove state.json → stop tier by tier → stop what escaped the supervisor
reset  down, then remove the data
"""

from __future__ import annotations

import os
import secrets
import shlex
import shutil
import time
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from devstack import demo, parts, screen, tokens
from devstack.cache import aot, artifacts, template
from devstack.errors import DevstackError
from devstack.folder import CHECKOUT, Folder, read_json, remove_orphaned_data, write_json
from devstack.infrastructure import gateway, kafka, memory, postgres, registry
from devstack.parts import Part, Site, Step
from devstack.ports import choose
from devstack.processes import leftovers, state, supervisor
from devstack.processes.launch import Launch
from devstack.services import EVERY, SERVICES
from devstack.telemetry import metrics_store, viewer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

# Parts that somebody else may supply, containers for one: taken as given, neither started nor stopped.
GIVEN = {
    "postgres": "WAYBILL_POSTGRES_URL",
    "kafka": "WAYBILL_KAFKA_BOOTSTRAP",
    "registry": "WAYBILL_REGISTRY_URL",
}


@dataclass
class Started:
    """What `up` has to tell."""

    state: dict[str, Any]
    was_running: bool = False
    seconds: float = 0
    timings: dict[str, float] = field(default_factory=dict)


def up(
    folder: Folder, *, only: str = "", with_demo: bool = True, telemetry: bool = True, with_gateway: bool = True
) -> Started:
    """Start the stack and return when all of it is ready; a running one is left as it is. May block for minutes.

    `telemetry`: with a trace viewer and a metrics store, which become ready later, where they can be had.
    `with_gateway`: with one address for all web programs.

    Raises:
        DevstackError: it cannot be started; nothing of it is left running.

    """
    chosen = parts.select(only, telemetry=telemetry, gateway=with_gateway)
    folder.check()
    with folder.locked():
        if supervisor.is_running(folder) and (known := read_json(folder.state_file)):
            return Started(known, was_running=True)
        given = {name: url for name, variable in GIVEN.items() if (url := os.environ.get(variable))}
        own = [name for name in chosen if name not in given]
        homes = artifacts.fetch(name for name in own if name not in parts.TELEMETRY)
        beside = telemetry_homes(own) if fits_beside(own) else {}
        own = [name for name in own if name not in parts.TELEMETRY or name in beside]
        memory.check(own)
        aot.train(homes)
        homes |= beside
        started_at = time.monotonic()
        clear(folder)
        folder.prepare()
        remove_orphaned_data()
        site = settle(folder, own, given)
        result = Started({})
        with stopped_on_failure(folder):
            if "postgres" in own:
                postgres.prepare_for_root(folder)
            done = read_json(folder.stack_file).get("done")
            if done is None and is_whole(own, given):
                began = time.monotonic()
                done = take_template(folder, site, homes)
                result.timings["template"] = time.monotonic() - began
            plan, functions = make_plan(site, folder, own, homes)
            plan, digests = leave_out_done(plan, {} if given else done or {})
            supervisor.write_config(folder, [task for task in plan if isinstance(task, Part)])
            supervisor.start(folder)
            Launch(folder, plan, functions, result.timings.__setitem__).run()
            write_json(folder.stack_file, read_json(folder.stack_file) | {"done": digests})
            result.state = describe(site, folder, own)
            if with_demo and {"inventory.web", "order.web"} <= set(own):
                began = time.monotonic()
                demo.prepare(result.state)
                result.timings["demo catalogue"] = time.monotonic() - began
            result.state = state.write(folder, result.state)
        result.seconds = time.monotonic() - started_at
    return result


def down(folder: Folder) -> bool:
    """Stop the stack in order and return when no process of it is left; tell whether there was one."""
    if not folder.stack_file.exists():
        return False
    with folder.locked():
        return clear(folder)


def reset(folder: Folder) -> None:
    """Stop the stack and remove its data."""
    if folder.stack_file.exists():
        with folder.locked():
            clear(folder)
            folder.wipe()
    template.remove_stale(template.path())


def clear(folder: Folder) -> bool:
    """Stop whatever lives of the stack, with or without a supervisor; tell whether anything did."""
    folder.state_file.unlink(missing_ok=True)
    running = supervisor.is_running(folder)
    if running:
        supervisor.stop(folder)
    left = leftovers.stop(folder.path)
    # One that was killed removed nothing of its own.
    folder.supervisor_pid.unlink(missing_ok=True)
    folder.socket.unlink(missing_ok=True)
    if left and not running:
        screen.say(f"stopped {left} processes that an earlier run had left behind")
    return running or left > 0


@contextmanager
def stopped_on_failure(folder: Folder) -> Iterator[None]:
    """Leave no half-started stack behind, whatever ends the start: an error, a signal, a mistake of ours."""
    try:
        yield
    except BaseException:
        clear(folder)
        raise


def fits_beside(own: Sequence[str]) -> bool:
    """Tell whether memory is free for the parts of telemetry too; says where it is not."""
    fits = memory.needed_mb(own) <= memory.available_mb()
    if not fits and set(own) & set(parts.TELEMETRY):
        screen.say("no trace viewer and no metrics store: too little memory is free")
    return fits


def telemetry_homes(own: Sequence[str]) -> dict[str, Path]:
    """Return where the programs of the parts of telemetry are; says which cannot be had, and leaves them out."""
    homes: dict[str, Path] = {}
    if "zipkin" in own:
        try:
            homes |= artifacts.fetch(["zipkin"])
            homes["otlp"] = CHECKOUT
        except DevstackError as error:
            screen.say(f"no trace viewer: {error}")
    if "prometheus" in own:
        if found := metrics_store.program():
            homes["prometheus"] = found
        else:
            screen.say("no metrics store: neither is prometheus installed, nor has apt-get Debian's package")
    return homes


def settle(folder: Folder, chosen: Sequence[str], given: Mapping[str, str]) -> Site:
    """Choose ports and secrets, or take those of the last start, and keep them with the data."""
    kept = read_json(folder.stack_file)
    needed = parts.port_names(chosen)
    ports = choose(needed, kept.get("ports", {}), os.environ)
    roles = [f"{service}_{role}" for service in EVERY for role in postgres.ROLES]
    fresh = {name: secrets.token_hex(16) for name in ("postgres", *roles)}
    fresh["kafka"] = kafka.identity()
    content = {**kept, "ports": {**kept.get("ports", {}), **ports}, "secrets": {**fresh, **kept.get("secrets", {})}}
    write_json(folder.stack_file, content)
    tokens.prepare(folder.data)
    return make_site(folder, ports, content["secrets"], given)


def make_site(folder: Folder, ports: Mapping[str, int], known: Mapping[str, str], given: Mapping[str, str]) -> Site:
    """Return where everything of this stack is."""
    return Site(
        ports=ports,
        secrets=known,
        given=given,
        data=folder.data,
        jwks_file=tokens.jwks_file(folder.data),
        log_level=os.environ.get("WAYBILL_LOG_LEVEL", "info"),
        sockets=folder.socket.parent,
        kafka_options=tuple(shlex.split(os.environ.get("WAYBILL_KAFKA_JAVA_OPTIONS", ""))),
    )


def make_plan(
    site: Site, folder: Folder, chosen: Sequence[str], homes: Mapping[str, Any]
) -> tuple[list[Part | Step], dict[str, Callable[[], None]]]:
    """Return what to start and to do, and the functions behind the tasks that have no command."""
    behind = frozenset(parts.programs_of(chosen))
    makers: dict[str, Callable[[], Part]] = {
        "postgres": lambda: postgres.part(site, folder),
        "kafka": lambda: kafka.part(site, folder, homes["kafka"], *aot.options(homes["kafka"])),
        "registry": lambda: registry.part(site, folder, homes["registry"], *aot.options(homes["registry"])),
        "provider": lambda: parts.simulator(site, "provider"),
        "mailbox": lambda: parts.simulator(site, "mailbox"),
        "gateway": lambda: gateway.part(site, folder),
        "otlp": lambda: viewer.bridge(site),
        "zipkin": lambda: viewer.viewer(site, homes["zipkin"], behind),
        "prometheus": lambda: metrics_store.part(site, folder, homes["prometheus"], behind),
    }
    functions: dict[str, Callable[[], None]] = {
        "postgres": lambda: postgres.prepare(site, folder),
        "kafka": lambda: kafka.prepare(site, folder, homes["kafka"]),
        "gateway": lambda: gateway.prepare(site, folder),
        "databases": lambda: postgres.create_databases(site),
        "prometheus": lambda: metrics_store.prepare(site, folder, parts.programs_of(chosen)),
    }
    plan: list[Part | Step] = [makers[name]() for name in chosen if name in makers]
    own = frozenset(chosen)
    if "postgres" in own | site.given.keys():
        plan.append(Step(name="databases", needs=own & {"postgres"}))
    if services := parts.services_of(chosen):
        plan += parts.steps(site, services, own)
        plan += [parts.program(site, *name.split(".")) for name in chosen if name not in makers]
    return waiting_within(plan), functions


def leave_out_done(plan: Sequence[Part | Step], done: Mapping[str, str]) -> tuple[list[Part | Step], dict[str, str]]:
    """Leave out the steps whose outcome the data keeps and whose code is the same; return the digests to remember.

    Migrating four services and registering what is registered takes a third of a start. Parts that are given to us
    may have lost their data, so nothing is left out there.
    """
    digests = {task.name: parts.digest(task) for task in plan if isinstance(task, Step) and task.kept_by_data}
    remaining = [task for task in plan if task.name not in digests or done.get(task.name) != digests[task.name]]
    return waiting_within(remaining), {**done, **digests}


def waiting_within(plan: Sequence[Part | Step]) -> list[Part | Step]:
    """Return the plan without waiting for what is not in it."""
    names = {task.name for task in plan}
    return [replace(task, needs=task.needs & names) for task in plan]


def is_whole(own: Sequence[str], given: Mapping[str, str]) -> bool:
    """Tell whether the stack runs what a template holds the data of."""
    return not given and set(own) >= template.NEEDED and bool(parts.services_of(own))


def take_template(folder: Folder, site: Site, homes: Mapping[str, Path]) -> Mapping[str, str]:
    """Begin with a template's data, made where there is none; return the digests of the steps that this spares.

    Where that fails, so does no start: every step is done in the stack itself.
    """
    try:
        with artifacts.cache_locked():
            current = template.path()
            if not template.done(current):
                make_template(current, homes)
            template.fill(current, site, folder)
            return template.done(current)
    except (DevstackError, OSError) as error:
        screen.say(f"no template of a first start's data: {error}")
        template.empty(folder)
        return {}


def make_template(target: Path, homes: Mapping[str, Path]) -> None:
    """Do the steps of a first start in a scratch stack and keep its data, unless the template holds it already.

    Raises:
        DevstackError: a step failed.

    """
    folder = template.scratch()
    clear(folder)
    folder.wipe()
    folder.path.mkdir(exist_ok=True)
    try:
        folder.prepare()
        site = settle(folder, parts.names(), {})
        plan, functions = make_plan(site, folder, parts.names(), homes)
        plan = [task for task in plan if isinstance(task, Step) or task.name in template.NEEDED]
        _, digests = leave_out_done(plan, {})
        if template.done(target) == digests:
            return
        with stopped_on_failure(folder):
            postgres.prepare_for_root(folder)
            supervisor.write_config(folder, [task for task in plan if isinstance(task, Part)])
            supervisor.start(folder)
            Launch(folder, plan, functions, lambda *_: None).run()
        clear(folder)
        template.keep(target, folder, digests)
    finally:
        folder.wipe()
        shutil.rmtree(folder.path, ignore_errors=True)


def describe(site: Site, folder: Folder, chosen: Sequence[str]) -> dict[str, Any]:
    """Return what state.json says, without the processes."""
    services = parts.services_of(chosen)
    urls = {service: site.http(f"{service}.web") for service in services if f"{service}.web" in chosen}
    urls |= {
        name: site.http(name) for name in ("gateway", "provider", "mailbox", "zipkin", "prometheus") if name in chosen
    }
    if "registry" in (*chosen, *site.given):
        urls["registry"] = site.registry
    has_databases = "postgres" in (*chosen, *site.given)
    return {
        "checkout": str(CHECKOUT),
        "urls": urls,
        "kafka": site.kafka if "kafka" in (*chosen, *site.given) else "",
        # What only reads has dead letters too, where it runs.
        "databases": {one: site.database(one, "service") for one in EVERY if one in (*SERVICES, *services)}
        if has_databases
        else {},
        "processes": {},
        "tokens": tokens.demo(folder.data),
    }


def environment(folder: Folder, name: str) -> dict[str, str]:
    """Return the environment of one program of a stack that was started, or of its `order.migrate`.

    For tests that run a program themselves beside the stack's infrastructure: ports that the stack did not choose
    are chosen now.

    Raises:
        DevstackError: the stack was never started.

    """
    kept = read_json(folder.stack_file)
    if not kept:
        raise DevstackError(f"{folder.path} holds no stack; start one with make up")
    service, _, kind = name.partition(".")
    missing = [port for port in (name, f"{service}.hint") if kind != "migrate" and port not in kept["ports"]]
    site = site_kept(folder)
    return parts.service_environment(replace(site, ports={**site.ports, **choose(missing, {}, {})}), service, kind)


def site_kept(folder: Folder) -> Site:
    """Return where everything of a stack is that was started."""
    kept = read_json(folder.stack_file)
    given = {part: url for part, variable in GIVEN.items() if (url := os.environ.get(variable))}
    return make_site(folder, kept["ports"], kept["secrets"], given)

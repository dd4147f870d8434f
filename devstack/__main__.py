"""The devstack's commands: arguments, signals and printing only. `make run`, `up`, `down` and `reset` call them.

Exit codes: 0 done, 1 error (one line says which), 2 usage, 128 + signal where a signal ended it.
"""

from __future__ import annotations

import argparse
import shlex
import sys
import tempfile
import time
import traceback
from typing import TYPE_CHECKING

from devstack import demo, manifests, screen, stack, tokens
from devstack.cache import aot, artifacts, template
from devstack.errors import DevstackError, Interrupted
from devstack.folder import CHECKOUT, Folder, read_json
from devstack.interruption import interruptible
from devstack.processes import supervisor
from devstack.services import EVERY

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

TITLES = {
    **{service.name: f"{service.title}, API docs" if service.decides else service.title for service in EVERY.values()},
    "gateway": "Gateway: all services at one address",
    "provider": "Payment provider (simulated)",
    "mailbox": "Mailbox",
    "registry": "Schema registry",
    "zipkin": "Traces (Zipkin), ready a little later",
    "prometheus": "Metrics and alerts (Prometheus' API)",
}


def parser() -> argparse.ArgumentParser:
    """Return the command line's shape."""
    top = argparse.ArgumentParser(prog="python -m devstack", description=(__doc__ or "").splitlines()[0])
    verbs = top.add_subparsers(dest="verb", required=True, metavar="VERB")
    for verb, about in (
        ("run", "start everything, stay until Ctrl-C, stop everything"),
        ("up", "start everything in the background, return when ready"),
    ):
        command = verbs.add_parser(verb, help=about)
        command.add_argument("--only", default="", metavar="PARTS", help="such as postgres,kafka or order,inventory")
        command.add_argument("--no-demo", action="store_true", help="list no demo catalogue and place no order")
        command.add_argument(
            "--no-telemetry", action="store_true", help="no trace viewer and metrics store: 580 MB less"
        )
        command.add_argument("--no-gateway", action="store_true", help="no gateway: 90 MB less")
        command.add_argument("--verbose", action="store_true", help="show how long each part took")
    verbs.add_parser("down", help="stop everything")
    verbs.add_parser("reset", help="stop everything and remove the data")
    verbs.add_parser("status", help="show the programs; exit 1 unless all of them run")
    verbs.add_parser("download", help="fetch Kafka and the registry, and make what starts are made from")
    verbs.add_parser("lock", help="resolve Kafka's and the registry's versions again (for maintainers)")
    written = verbs.add_parser(
        "manifests", help="write what follows from services.toml into compose, deploy/ and pyproject"
    )
    written.add_argument("--check", action="store_true", help="write nothing; exit 1 when a file is stale")
    token = verbs.add_parser("token", help="print a bearer token of this stack")
    token.add_argument("--sub", required=True, help="who it speaks for")
    token.add_argument("--scope", default="orders", help="space-separated (default: orders)")
    token.add_argument("--seconds", type=int, default=tokens.LIFETIME_SECONDS, help="how long it is good for")
    login = verbs.add_parser("login", help="print a link that signs in at the console")
    login.add_argument("--sub", default="demo-operator", help="who it is (default: demo-operator)")
    login.add_argument("--look-only", action="store_true", help="with the role `view` alone")
    environment = verbs.add_parser("env", help="print the environment of a program, such as order.web, for a shell")
    environment.add_argument("program")
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    given = parser().parse_args(arguments)
    interruptible()
    try:
        return VERBS[given.verb](Folder.find(), given)
    except DevstackError as error:
        screen.complain(str(error), error.details)
        return 1
    except Interrupted as interrupted:
        screen.say("stopped")
        return 128 + interrupted.signal_number
    except Exception as error:  # noqa: BLE001 - nobody is helped by a traceback on the screen
        with tempfile.NamedTemporaryFile("w", prefix="waybill-", suffix=".log", delete=False) as file:
            traceback.print_exc(file=file)
        screen.complain(f"{type(error).__name__}: {error} (this should not happen; please report {file.name})")
        return 1


def start(folder: Folder, given: argparse.Namespace) -> stack.Started:
    """Start what was asked for."""
    return stack.up(
        folder,
        only=given.only,
        with_demo=not given.no_demo,
        telemetry=not given.no_telemetry,
        with_gateway=not given.no_gateway,
    )


def up(folder: Folder, given: argparse.Namespace) -> int:
    """Start in the background."""
    started = start(folder, given)
    if started.was_running:
        screen.say(f"already running in {folder.path}; make down stops it")
    else:
        report(started, verbose=given.verbose)
    show_urls(started.state)
    return 0


def run(folder: Folder, given: argparse.Namespace) -> int:
    """Start, place an order, stay, stop."""
    try:
        started = start(folder, given)
        if started.was_running:
            raise DevstackError(f"already running in the background in {folder.path}; make down stops it")
        report(started, verbose=given.verbose)
        if not given.no_demo and "order" in started.state["urls"]:
            demo.place_order(started.state)
        show_urls(started.state)
        screen.say("running; Ctrl-C stops everything")
        while supervisor.is_running(folder):
            time.sleep(1)
    except Interrupted:
        screen.say("stopping")
        stack.down(folder)
        raise
    # Somebody else's make down, or a supervisor that was killed: either way nothing of it may stay.
    if stack.down(folder):
        raise DevstackError(f"the supervisor ended, so everything was stopped; its log: {folder.log}/supervisor.log")
    screen.say("stopped by another command")
    return 0


def report(started: stack.Started, *, verbose: bool) -> None:
    """Say how long the start took, and what took longest."""
    slowest = sorted(started.timings.items(), key=lambda item: -item[1])
    for name, seconds in slowest if verbose else ():
        screen.say(f"  {name:<24} {seconds:6.2f} s")
    longest = f" (longest: {slowest[0][0]}, {slowest[0][1]:.1f} s)" if slowest else ""
    screen.say(f"ready in {started.seconds:.1f} s{longest}")


def show_urls(state: Mapping[str, Mapping[str, str]]) -> None:
    """Print where everything is, and a request ready to paste."""
    urls = state["urls"]
    rows = [(TITLES[name], f"{url}/v1/docs" if "docs" in TITLES[name] else url) for name, url in urls.items()]
    if rows:
        screen.show_table(("What", "Where"), rows)
    if "console" in urls:
        screen.say("python -m devstack login prints a link that signs in at the console")
    if "order" in urls:
        screen.show()
        screen.show(demo.curl(state))


def down(folder: Folder, _given: argparse.Namespace) -> int:
    """Stop."""
    screen.say("stopped" if stack.down(folder) else "nothing is running")
    return 0


def reset(folder: Folder, _given: argparse.Namespace) -> int:
    """Stop and wipe."""
    stack.reset(folder)
    screen.say(f"removed the data of {folder.path}")
    return 0


def status(folder: Folder, _given: argparse.Namespace) -> int:
    """Show the programs."""
    if not supervisor.is_running(folder):
        screen.say("nothing is running")
        return 1
    programs = supervisor.processes(folder)
    rows = [(name, str(info["statename"]).lower(), str(info["pid"] or "")) for name, info in programs.items()]
    screen.show_table(("Program", "Is", "Pid"), rows)
    return 0 if all(info["statename"] == "RUNNING" for info in programs.values()) else 1


def fetch(_folder: Folder, _given: argparse.Namespace) -> int:
    """Download what is missing."""
    homes = artifacts.fetch(("kafka", "registry"))
    aot.train(homes)
    with artifacts.cache_locked():
        stack.make_template(template.path(), homes)
    for part, home in homes.items():
        screen.say(f"{part}: {home}")
    return 0


def lock(_folder: Folder, _given: argparse.Namespace) -> int:
    """Rewrite the lock."""
    artifacts.write_lock()
    screen.say(f"wrote {artifacts.LOCK.relative_to(CHECKOUT)}")
    return 0


def write_manifests(_folder: Folder, given: argparse.Namespace) -> int:
    """Write what follows from services.toml."""
    stale = manifests.stale()
    for path, text in stale.items():
        name = path.relative_to(CHECKOUT)
        if given.check:
            screen.complain(f"{name} differs from services.toml; run make docs and commit it")
        else:
            path.write_text(text)
            screen.say(f"wrote {name}")
    return 1 if given.check and stale else 0


def token(folder: Folder, given: argparse.Namespace) -> int:
    """Print a token."""
    if not tokens.jwks_file(folder.data).exists():
        raise DevstackError(f"{folder.path} holds no stack; start one with make up")
    screen.show(tokens.mint(folder.data, given.sub, given.scope, given.seconds))
    return 0


def login(folder: Folder, given: argparse.Namespace) -> int:
    """Print a link for a browser: the token stands behind a `#`, which is sent to no server."""
    console = read_json(folder.state_file).get("urls", {}).get("console")
    if not console:
        raise DevstackError(f"no console runs in {folder.path}; start one with make up")
    scope = tokens.VIEWER if given.look_only else tokens.OPERATOR
    screen.show(f"{console}/login#{tokens.mint(folder.data, given.sub, scope, tokens.SESSION_SECONDS)}")
    return 0


def print_environment(folder: Folder, given: argparse.Namespace) -> int:
    """Print a program's environment as shell commands."""
    for name, value in stack.environment(folder, given.program).items():
        screen.show(f"export {name}={shlex.quote(value)}")
    return 0


VERBS = {
    "run": run,
    "up": up,
    "down": down,
    "reset": reset,
    "status": status,
    "download": fetch,
    "lock": lock,
    "manifests": write_manifests,
    "token": token,
    "login": login,
    "env": print_environment,
}

if __name__ == "__main__":
    sys.exit(main())

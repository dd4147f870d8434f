"""Supervisor (supervisord.org) keeps the programs running; this module writes what it reads and talks to it.

It restarts what ends, after one second more each time a start fails. Nothing starts by itself: `stack.py` starts each
program once what it needs is there. It is reached by a unix socket only, to which others have no rights.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
import xmlrpc.client  # of a program of ours, on a socket of our own  # nosec B411
from contextlib import suppress
from http.client import HTTPException
from typing import TYPE_CHECKING, Any, cast

import psutil
from supervisor.xmlrpc import SupervisorTransport

from devstack.errors import DevstackError
from devstack.folder import CHECKOUT
from devstack.parts import inherited
from devstack.processes import leftovers

if TYPE_CHECKING:
    from collections.abc import Iterable

    from devstack.folder import Folder
    from devstack.parts import Part

# Every error of a call to a supervisor that is gone, is going, or never was.
AWAY = (OSError, HTTPException, xmlrpc.client.Error)
# Supervisor waits one second more after each failed start: with this many, days pass before it gives up.
START_RETRIES = 1_000
STOP_SECONDS = 20
# XML-RPC has no keywords.
NO_WAIT = False
KEEPER = "state.keeper"


def write_config(folder: Folder, parts: Iterable[Part]) -> None:
    """Write the configuration; it holds passwords, so for its owner only."""
    log = folder.log / "supervisor.log"
    sections = [
        ("unix_http_server", {"file": folder.socket, "chmod": "0700"}),
        (
            "supervisord",
            {
                "logfile": log,
                "logfile_maxbytes": "5MB",
                "logfile_backups": "1",
                "pidfile": folder.supervisor_pid,
                "nodaemon": "true",
                "silent": "true",
                "directory": CHECKOUT,
                "childlogdir": folder.log,
                # Said aloud, since supervisor warns where root has not named a user.
                **({"user": "root"} if os.geteuid() == 0 else {}),
            },
        ),
        (
            "rpcinterface:supervisor",
            {"supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"},
        ),
        *((f"program:{part.name}", program(folder, part)) for part in parts),
        (
            f"eventlistener:{KEEPER}",
            {
                "command": shlex.join((sys.executable, "-m", "devstack.processes.state", str(folder.path))),
                "events": "PROCESS_STATE",
                "buffer_size": "1000",
                "autorestart": "true",
                "startretries": START_RETRIES,
                "priority": "999",
                "stdout_logfile": "NONE",
                "stderr_logfile": folder.log / f"{KEEPER}.log",
            },
        ),
    ]
    lines: list[str] = []
    for name, settings in sections:
        # A per cent sign starts a name that supervisor would fill in.
        values = ((key, str(value).replace("%", "%%")) for key, value in settings.items())
        lines += [f"[{name}]", *(f"{key}={value}" for key, value in values), ""]
    folder.supervisor_config.touch(mode=0o600)
    folder.supervisor_config.write_text("\n".join(lines))


def program(folder: Folder, part: Part) -> dict[str, object]:
    """Return one program's section."""
    settings: dict[str, object] = {
        "command": shlex.join(part.command),
        "directory": part.directory,
        "autostart": "false",
        "autorestart": "true",
        "startsecs": 1,
        "startretries": START_RETRIES,
        "stopsignal": part.stop_signal,
        "stopwaitsecs": STOP_SECONDS,
        # Workers of a web server that had to be killed must not keep its port.
        "killasgroup": "true",
        "priority": part.tier,
        "redirect_stderr": "true",
        "stdout_logfile": folder.log / f"{part.name}.log",
        "stdout_logfile_maxbytes": "20MB",
        "stdout_logfile_backups": "2",
    }
    if part.environment:
        pairs = (f'{name}="{value}"' for name, value in part.environment.items())
        settings["environment"] = ",".join(pairs)
    if part.user:
        settings["user"] = part.user
    return settings


def call(folder: Folder, method: str, *arguments: object) -> Any:
    """Call a method of the supervisor.

    Raises:
        OSError, HTTPException, xmlrpc.client.Error: see AWAY.

    """
    transport = SupervisorTransport(None, None, f"unix://{folder.socket}")
    # One proxy a call: they are cheap, and not to be shared between threads.
    with xmlrpc.client.ServerProxy("http://127.0.0.1", transport=cast("xmlrpc.client.Transport", transport)) as proxy:
        return getattr(proxy.supervisor, method)(*arguments)


def is_running(folder: Folder) -> bool:
    """Tell whether this stack's supervisor answers."""
    with suppress(*AWAY):
        return call(folder, "getState")["statename"] == "RUNNING"
    return False


def start(folder: Folder, deadline_seconds: float = 20) -> None:
    """Start the supervisor in the background and wait until it answers.

    Raises:
        DevstackError: it does not come up.

    """
    folder.socket.unlink(missing_ok=True)
    environment = {**inherited(), leftovers.MARK: str(folder.path), "PYTHONUNBUFFERED": "1"}
    errors = folder.log / "supervisor.err"
    with errors.open("wb") as stream:
        # A session of its own: Ctrl-C and a closed terminal reach the command, which then stops everything in order.
        process = subprocess.Popen(
            [sys.executable, "-m", "supervisor.supervisord", "-c", str(folder.supervisor_config)],
            cwd=CHECKOUT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            start_new_session=True,
        )
    deadline = time.monotonic() + deadline_seconds
    while not is_running(folder):
        if process.poll() is not None or time.monotonic() > deadline:
            with suppress(ProcessLookupError):
                process.kill()
            said = [line for line in errors.read_text(errors="replace").splitlines() if not line.startswith("For help")]
            raise DevstackError(f"the supervisor did not start: {(said or ['it said nothing'])[-1]}")
        time.sleep(0.02)


def processes(folder: Folder) -> dict[str, dict[str, Any]]:
    """Return the supervisor's view of each program, by name."""
    infos = cast("list[dict[str, Any]]", call(folder, "getAllProcessInfo"))
    return {info["name"]: info for info in infos if info["name"] != KEEPER}


def stop(folder: Folder) -> None:
    """Stop every program, those of one tier at once and the highest tier first, then the supervisor."""
    pid = supervisor_pid(folder)
    with suppress(*AWAY):
        tiers: dict[int, list[str]] = {}
        for info in call(folder, "getAllConfigInfo"):
            tiers.setdefault(info["process_prio"], []).append(info["name"])
        for tier in sorted(tiers, reverse=True):
            stop_tier(folder, tiers[tier])
        call(folder, "shutdown")
    with suppress(psutil.Error):
        leftovers.await_end([psutil.Process(pid)] if pid else [], STOP_SECONDS)


def stop_tier(folder: Folder, names: list[str]) -> None:
    """Stop the programs and wait until none of them lives."""
    for name in names:
        with suppress(xmlrpc.client.Fault):  # it was not running
            call(folder, "stopProcess", name, NO_WAIT)
    deadline = time.monotonic() + STOP_SECONDS + 5
    # Being asked wakes the supervisor, which otherwise looks once a second whether somebody has ended.
    while time.monotonic() < deadline and any(call(folder, "getProcessInfo", name)["pid"] for name in names):
        time.sleep(0.05)


def supervisor_pid(folder: Folder) -> int:
    """Return the supervisor's pid, 0 where it is gone."""
    with suppress(*AWAY):
        return cast("int", call(folder, "getPID"))
    return 0

"""Processes that outlived their supervisor, found by a mark in their environment, and stopped.

Every process of a stack carries WAYBILL_STACK=<folder>. PostgreSQL's children overwrite their environment to show
what they do; they end with the postmaster, which does not.
"""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from pathlib import Path

MARK = "WAYBILL_STACK"
KILL_SECONDS = 5


def find(stack: Path) -> list[psutil.Process]:
    """Return this stack's living processes, ourselves and our ancestors left out."""
    me = psutil.Process()
    kept = {me.pid, *(process.pid for process in me.parents())}
    found: list[psutil.Process] = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.pid in kept or os.getuid() not in {0, process.uids().real}:
                continue
            if process.environ().get(MARK) == str(stack) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def stop(stack: Path, grace_seconds: float = 15) -> int:
    """Stop what is left of the stack, PostgreSQL last; return how many processes that were.

    May block for twice `grace_seconds`; what has not ended by then is killed.
    """
    found = find(stack)
    servers = [process for process in found if is_postgres(process)]
    # A supervisor still alive would start the others again.
    others = sorted((process for process in found if process not in servers), key=lambda each: not is_supervisor(each))
    end(others, signal.SIGTERM, grace_seconds)
    end(servers, signal.SIGINT, grace_seconds)
    return len(found)


def end(processes: list[psutil.Process], first: signal.Signals, grace_seconds: float) -> None:
    """Signal the processes and wait; kill what stays."""
    for process in processes:
        with suppress(psutil.Error):
            process.send_signal(first)
    await_end(processes, grace_seconds)
    for process in filter(is_alive, processes):
        with suppress(psutil.Error):
            process.kill()
    await_end(processes, KILL_SECONDS)


def await_end(processes: list[psutil.Process], deadline_seconds: float) -> None:
    """Wait until none of the processes lives."""
    deadline = time.monotonic() + deadline_seconds
    while time.monotonic() < deadline and any(map(is_alive, processes)):
        time.sleep(0.02)


def is_alive(process: psutil.Process) -> bool:
    """Tell whether the process still does something; one whose parent has not asked after it yet does not."""
    with suppress(psutil.Error):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def is_postgres(process: psutil.Process) -> bool:
    """Tell PostgreSQL, which stops by another signal."""
    with suppress(psutil.Error):
        return process.name() == "postgres"
    return False


def is_supervisor(process: psutil.Process) -> bool:
    """Tell the supervisor."""
    with suppress(psutil.Error):
        return "supervisor.supervisord" in process.cmdline()
    return False

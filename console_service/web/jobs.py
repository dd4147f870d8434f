"""Jobs that outlive a page: each is worked on by an `outbox` command of its own, which the web program starts.

The job is made and on record before, in the service's database. The command takes its lock, notes what it has done and
ends; where it dies, or the web program's machine does, the job is stopped, its screen says so, and it is resumed there.
"""

import subprocess
import sys
import threading
from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

import structlog

from console_service.web.databases import topology

log: Any = structlog.get_logger()
COMMAND: Final = (sys.executable, "-m", "outbox_relay")


def redrive(job_id: UUID, by: str, reason: str) -> None:
    """Work on a redrive job, beside this program."""
    _start(["redrive", "--resume", str(job_id), "--by", by, "--reason", reason])


def replay(job_id: UUID, by: str) -> None:
    """Send a replay job, beside this program."""
    _start(["replay", "--resume", str(job_id), "--by", by])


def _start(arguments: Sequence[str]) -> None:
    process = subprocess.Popen(  # noqa: S603 - our own program
        [*COMMAND, *arguments],
        cwd=topology().folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # a restart of the web program does not end it
    )
    threading.Thread(target=_await, args=(process, arguments), daemon=True).start()


def _await(process: "subprocess.Popen[str]", arguments: Sequence[str]) -> None:
    _, said = process.communicate()
    log.info("job's command ended", verb=arguments[0], job=arguments[2], code=process.returncode, said=said[-2000:])

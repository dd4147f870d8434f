"""What goes wrong in a phase: a kill -9, a restart of the database, Kafka away, a restart of the gateway."""

import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from random import Random

import psycopg

from tests.handover.ledger import Ledger
from tests.handover.stage import Stage, wait_for

AWAY_SECONDS = 3.0
GRACE_SECONDS = 8.0  # until pools and threads that lost the database have found it again
Fault = Callable[[Stage, Ledger, Random], str]


def kill(stage: Stage, _: Ledger, rng: Random) -> str:
    """Kill a program that moves data, or a gate of the two."""
    names = [name for name in stage.programs if name.partition(".")[0] in {"run", "consume", "relay", "gate"}]
    name = rng.choice(names)
    stage.programs[name].kill()
    return f"kill -9 {name}"


def restart_database(stage: Stage, ledger: Ledger, rng: Random) -> str:
    """Restart PostgreSQL: fast, or by kill -9 of all of it."""
    how = rng.choice([signal.SIGINT, signal.SIGQUIT])
    began, before = time.monotonic(), stage.stack.pid("postgres")
    os.kill(before, how)
    wait_for(lambda: stage.stack.pid("postgres") not in {0, before} and _answers(stage), "PostgreSQL is back")
    ledger.shaken.append((began, time.monotonic() + GRACE_SECONDS))
    return f"PostgreSQL restarted by {how.name}"


def kafka_away(stage: Stage, _: Ledger, rng: Random) -> str:
    """Let Kafka answer nobody for some seconds, or kill it."""
    pid = stage.stack.pid("kafka")
    if rng.random() < 0.5:
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: stage.stack.pid("kafka") not in {0, pid}, "Kafka is back")
        return "kill -9 Kafka"
    os.kill(pid, signal.SIGSTOP)
    threading.Event().wait(AWAY_SECONDS)
    os.kill(pid, signal.SIGCONT)
    return f"Kafka froze for {AWAY_SECONDS:.0f} s"


def restart_gateway(stage: Stage, ledger: Ledger, rng: Random) -> str:
    """Restart Envoy: at its own pace, or by kill -9."""
    gateway, began = stage.programs["gateway"], time.monotonic()
    starts = gateway.starts
    if rng.random() < 0.5:
        gateway.end()
    else:
        gateway.kill()
    wait_for(lambda: gateway.starts > starts and stage.gateway_is_ready(), "the gateway is back")
    ledger.shaken.append((began, time.monotonic() + 1))
    return "the gateway restarted"


FAULTS: dict[str, Fault] = {
    "kill": kill,
    "database": restart_database,
    "kafka": kafka_away,
    "gateway": restart_gateway,
}


def _answers(stage: Stage) -> bool:
    with suppress(psycopg.Error):
        return bool(stage.here.rows("SELECT 1")) and bool(stage.there.rows("SELECT 1"))
    return False

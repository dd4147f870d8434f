"""`python -m tests.alerts`: arguments, printing and the exit code only. 0 every outage was recorded and repaired."""

import argparse
import sys
import tempfile
import threading
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx2 as httpx
import psutil

from devstack.harness.interrupts import end_tidily
from tests.support import services

BEFORE_SECONDS = 40
ORDER_SECONDS = 5
PROGRAMS = (".web", ".consumer", ".worker", ".relay")
SETTINGS = {"WAYBILL_ORDER_DEADLINE": "PT30M"}  # the stage's own is shorter than an outage


def main(arguments: Sequence[str]) -> int:
    """Record outages, one after the other on one stack."""
    parser = argparse.ArgumentParser(prog="python -m tests.alerts", description="Record what is exported in outages.")
    parser.add_argument("--only", default="", metavar="WORDS", help="only outages whose name has one, by comma")
    given = parser.parse_args(arguments)
    services.configure()
    from tests.alerts.outages import OUTAGES
    from tests.chaos import stage

    end_tidily()
    stage.SETTINGS.update(SETTINGS)
    words = [word.strip() for word in given.only.split(",") if word.strip()]
    chosen = [one for one in OUTAGES if not words or any(word in one.name for word in words)]
    failed = 0
    with tempfile.TemporaryDirectory(prefix="waybill-alerts-", ignore_cleanup_errors=True) as home:
        (Path(home) / "stack").mkdir()
        with stage.running(Path(home) / "stack") as running:
            for one in chosen:
                failed += not record(one, running)
    return int(failed > 0)


def record(outage, running) -> bool:
    """Record one outage; returns whether it was repaired afterwards."""
    from tests.alerts.outages import all_ready
    from tests.alerts.recording import Recorder
    from tests.e2e.night.operator import REPAIR_SECONDS, Operator, until

    op = Operator(running)
    story = outage.story(op)
    print(f"{time.strftime('%H:%M:%S')} {outage.name}", flush=True)
    try:
        all_ready(op)
        sku = op.product(10_000)
        with _orders(op, sku), Recorder(lambda: _targets(running)) as recorder:
            running.hold(BEFORE_SECONDS)
            outage_at = len(recorder.taken)
            known = next(story)
            running.hold(outage.held_seconds)
            recorder.recorded(outage.name, outage_at).write()
            until(known, f"{outage.name}: known")
        until(next(story), f"{outage.name}: repaired", REPAIR_SECONDS)
    except Exception as error:  # noqa: BLE001 - told; the next outage follows
        print(f"  {type(error).__name__}: {error}"[:2000], flush=True)
        return False
    finally:
        story.close()
        running.heal()
    return True


@contextmanager
def _orders(op, sku: str) -> Generator[None]:
    """Place an order every ORDER_SECONDS, as customers go on doing whatever is broken."""
    over = threading.Event()

    def place() -> None:
        while not over.wait(ORDER_SECONDS):
            with suppress(httpx.HTTPError, AssertionError):
                op.order(sku)

    customers = threading.Thread(target=place, name="customers", daemon=True)
    customers.start()
    try:
        yield
    finally:
        over.set()
        customers.join()


def _targets(running) -> dict[str, int]:
    """Return every program's port, those of the stack and those that run beside it."""
    own = {name: running.site.health_port(name) for name in running.site.ports if name.endswith(PROGRAMS)}
    for number, process in enumerate(running.extra):
        with suppress(psutil.Error, KeyError):
            if process.poll() is None:
                told = psutil.Process(process.pid).environ()
                own[f"beside.{number}"] = int(told.get("WAYBILL_HEALTH_PORT", told["WAYBILL_PORT"]))
    return own


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

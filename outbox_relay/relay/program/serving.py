"""The relay as a program: its settings, one thread an outbox, until SIGTERM or SIGINT."""

from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import ExitStack
from threading import Event

from outbox_relay.relay.program.allocator import keep_memory
from outbox_relay.relay.program.exposure import expose
from outbox_relay.relay.program.supervising import Program
from outbox_relay.settings import RelaySettings
from waybill.database.side_session import SideSession
from waybill.kafka import access
from waybill.observability import health
from waybill.observability.output import json_lines
from waybill.observability.program_state import reported
from waybill.observability.telemetry import configure_logging
from waybill.runtime.settings import read
from waybill.runtime.signals import stop_requested
from waybill.tracing import export


def main() -> None:
    """Run the relay; exits 0 when told to stop, and with one line where its settings are wrong."""
    keep_memory()
    with json_lines("relay"):
        settings = read(RelaySettings)
        try:
            access.check(settings.kafka)
        except ValueError as error:
            raise SystemExit(f"cannot start, {error}") from None
        _serve(settings)


def _serve(settings: RelaySettings) -> None:
    served = settings.outboxes
    name = f"{served[0].service}.relay" if len(served) == 1 else "relay"
    configure_logging(name, settings.log_level)
    export.start(name, settings)
    stopping = stop_requested()
    programs = [Program(settings, outbox, stopping) for outbox in served]

    sessions = [SideSession(outbox.database_url, f"{outbox.service}.relay") for outbox in served]
    for outbox, session, program in zip(served, sessions, programs, strict=True):
        expose(outbox, session, program.condition)
    health.serve(settings.host, settings.port, lambda: _unready(programs))
    with ExitStack() as until_stopped:
        for session, program in zip(sessions, programs, strict=True):
            until_stopped.enter_context(reported(session, "relay", program.state))
        if len(programs) == 1:
            programs[0].run()
        else:
            _run_side_by_side(programs, stopping)


def _run_side_by_side(programs: Sequence[Program], stopping: Event) -> None:
    """Run one thread a database; a defect in one ends the process, so that whoever watches it starts it anew."""
    with ThreadPoolExecutor(len(programs)) as threads:
        running = [threads.submit(program.run) for program in programs]
        wait(running, return_when=FIRST_COMPLETED)
        stopping.set()
        for one in running:
            one.result()


def _unready(programs: Sequence[Program]) -> str | None:
    reasons = [(program.service, program.condition.unready()) for program in programs]
    if len(reasons) == 1:
        return reasons[0][1]
    return "; ".join(f"{service}: {reason}" for service, reason in reasons if reason) or None

"""`python -m waybill shadow`: serve until SIGTERM or SIGINT, which drain it; the findings are written every second."""

import logging
import socket
from importlib.metadata import version
from threading import Event, Thread
from typing import Final

import structlog

from waybill.observability import health, metrics
from waybill.observability.output import json_lines
from waybill.observability.telemetry import configure_logging
from waybill.rest.serving.connections import Connection, most_connections
from waybill.rest.serving.draining import DrainingServer, Unqueued, listening
from waybill.rest.serving.refusals import REASONS
from waybill.runtime.settings import read
from waybill.shadow.comparing import Comparing
from waybill.shadow.findings import OUTCOMES, Findings, Unreadable
from waybill.shadow.proxy import Proxy
from waybill.shadow.settings import ShadowSettings

log: structlog.stdlib.BoundLogger = structlog.get_logger()

WRITE_SECONDS: Final = 1.0
PROGRAM: Final = "shadow"


def main() -> None:
    """Run the program; exits 0 when told to stop, and with one line where its settings are wrong."""
    with json_lines(PROGRAM):
        settings = read(ShadowSettings)
        configure_logging(PROGRAM, settings.log_level)
        findings = Findings(settings.routes.templates, settings.shadow_samples)
        try:
            if settings.shadow_file.exists():
                findings.restore(settings.shadow_file)
            findings.write(settings.shadow_file, always=True)
        except (Unreadable, OSError) as error:
            raise SystemExit(f"WAYBILL_SHADOW_FILE: {error}") from None
        _expose(settings)
        with listening(settings.host, settings.port) as listener:  # who is told that it is ready can connect
            health.serve(settings.host, settings.health_port, lambda: None, variable="WAYBILL_HEALTH_PORT")
            with _Writing(findings, settings):
                _serve(Proxy(settings, Comparing(settings, findings)), listener)
    log.info("stopped")


def _expose(settings: ShadowSettings) -> None:
    templates = settings.routes.templates
    metrics.expose(
        PROGRAM,
        {
            "http_refused_total": [{"reason": reason} for reason in sorted(set(REASONS.values()))],
            "shadow_answer_seconds": [
                {"route": one, "side": side} for one in templates for side in ("second_control", "candidate")
            ],
            "shadow_comparisons_total": [
                {"route": one, "outcome": outcome} for one in templates for outcome in OUTCOMES
            ],
            "shadow_control_failures_total": [
                {"reason": reason} for reason in ("unreachable", "timed_out", "broken_off")
            ],
            "waybill_build_info": [],
        },
    )
    metrics.put("waybill_build_info", 1, version=version("waybill"))


class _Writing:
    """Write the findings every second, and once more at the end."""

    def __init__(self, findings: Findings, settings: ShadowSettings) -> None:
        self._findings, self._path = findings, settings.shadow_file
        self._over = Event()

    def __enter__(self) -> None:
        Thread(target=self._run, name="findings", daemon=True).start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._write()

    def _run(self) -> None:
        while not self._over.wait(WRITE_SECONDS):
            self._write()

    def _write(self) -> None:
        try:
            self._findings.write(self._path)
        except OSError as error:  # a full disk must not end the program, which clients are behind
            log.warning("findings_not_written", file=str(self._path), error=str(error))


def _serve(proxy: Proxy, listener: socket.socket) -> None:
    """Answer until told to stop; to be called by the main thread."""
    Connection.most = most_connections()
    # An answer that the control broke off has a line of ours.
    logging.getLogger("uvicorn.error").addFilter(lambda one: "without completing" not in one.getMessage())
    # Without a date of ours: the control's own answers the client.
    DrainingServer(proxy, Unqueued, lambda: None, date=False).run([listener])

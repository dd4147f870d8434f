"""`python -m waybill migrate gate`: answer until SIGTERM or SIGINT, which drain it: what waits is answered."""

import asyncio
import socket
from collections.abc import Callable, Collection
from importlib.metadata import version
from typing import Any, Final

import structlog

from waybill.migrate.gate.answering import ANSWERS, Gate
from waybill.migrate.gate.rows import Rows
from waybill.observability import health, metrics
from waybill.observability.output import json_lines
from waybill.rest.serving.connections import Connection, most_connections
from waybill.rest.serving.draining import DrainingServer, Unqueued, listening
from waybill.rest.serving.refusals import REASONS

log: structlog.stdlib.BoundLogger = structlog.get_logger()

PROGRAM: Final = "gate"


def run(conninfo: str, names: Collection[str], at: tuple[str, int], health_port: int, seconds: float) -> None:
    """Answer for these aggregates; to be called by the main thread. Raises SystemExit where an address is taken."""
    with json_lines(PROGRAM):
        _expose(names)
        rows = Rows(conninfo, names)
        with listening(*at, variable="--port") as listener:  # who is told that it is ready can connect
            health.serve(at[0], health_port, lambda: rows.reason, variable="--health-port")
            Connection.most = most_connections()
            _Server(Gate(rows, names, seconds), rows.run).run([listener])
    log.info("stopped")


class _Server(DrainingServer):
    """Answers, and reads the rows beside."""

    def __init__(self, gate: Gate, read: Callable[[], Any]) -> None:
        super().__init__(gate, Unqueued, lambda: None, date=False)
        self._read = read

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Answer until told to stop."""
        reading = asyncio.create_task(self._read())
        try:
            await super().serve(sockets)
        finally:
            reading.cancel()
            await asyncio.wait((reading,))


def _expose(names: Collection[str]) -> None:
    metrics.expose(
        PROGRAM,
        {
            "gate_answer_seconds": [{"aggregate": name} for name in names],
            "gate_answers_total": [{"aggregate": name, "answer": answer} for name in names for answer in ANSWERS],
            "http_refused_total": [{"reason": reason} for reason in sorted(set(REASONS.values()))],
            "waybill_build_info": [],
        },
    )
    metrics.put("waybill_build_info", 1, version=version("waybill"))

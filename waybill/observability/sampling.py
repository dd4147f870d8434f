"""Gauges whose values stand in the database, asked for when the metrics are scraped.

Every program that shows such a value asks for the same truth, so a standby and a leader never contradict each other.
An answer is kept for some seconds, whoever scrapes; while there is none, `waybill_database_up` is 0 and each gauge NaN.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, Final, LiteralString

import psycopg
import structlog
from psycopg import sql

from waybill.database.side_session import SideSession
from waybill.observability import metrics

log: Any = structlog.get_logger()

CACHE_SECONDS: Final = 5.0  # whoever scrapes, and however often
UNKNOWN: Final = float("nan")  # an old value shown as today's would hide the outage that made it unknown

# A server that takes no writes answers, and yet is not the one that a program needs.
TAKES_WRITES: Final = "SELECT NOT pg_is_in_recovery() AND current_setting('default_transaction_read_only') = 'off'"


@dataclass(frozen=True, slots=True)
class Question:
    """A SELECT whose rows are label values, in the sequence of the label sets' names, and one number.

    A known label set that it does not return has the value `otherwise`. One that is not known is left out, or, with
    `others`, known from then on.
    """

    name: metrics.Name
    query: LiteralString | sql.Composed
    values: Mapping[str, Any] = field(default_factory=dict[str, Any])
    fixed: Mapping[str, str] = field(default_factory=dict[str, str])
    otherwise: float = 0
    others: bool = False


class Sampler:
    """Ask a database at most every CACHE_SECONDS, and set the gauges that its answers are for."""

    def __init__(self, service: str, session: SideSession, questions: Sequence[Question]) -> None:
        """Prepare; asks nothing yet."""
        self._service, self._session, self._questions = service, session, questions
        self._lock = Lock()
        self._asked_at = float("-inf")
        self._up: bool | None = None

    def refresh(self) -> None:
        """Set the gauges; blocks some seconds at most, and raises nothing."""
        with self._lock:
            if time.monotonic() - self._asked_at < CACHE_SECONDS:
                return
            try:
                up, answers = self._session.ask(self._read)
                reason = None if up else "the server takes no writes"
            except (psycopg.Error, TimeoutError) as error:
                up, answers, reason = False, None, " ".join(str(error).split())
            for index, question in enumerate(self._questions):
                self._set(question, None if answers is None else answers[index])
            metrics.put("waybill_database_up", up, service=self._service)
            if up != self._up and not (up and self._up is None):
                (log.info if up else log.warning)("database_up" if up else "database_down", reason=reason)
            self._up = up
            self._asked_at = time.monotonic()

    def _read(self, connection: psycopg.Connection) -> tuple[bool, list[list[tuple[Any, ...]]]]:
        row = connection.execute(TAKES_WRITES).fetchone()
        answers = [connection.execute(one.query, one.values or None).fetchall() for one in self._questions]
        return bool(row and row[0]), answers

    def _set(self, question: Question, rows: Sequence[tuple[Any, ...]] | None) -> None:
        labels = [name for name in metrics.METRICS[question.name].labels if name not in question.fixed]
        found = {tuple(map(str, row[:-1])): row[-1] for row in rows or ()}
        if question.others:
            metrics.know(question.name, [dict(zip(labels, values, strict=True)) for values in found])
        for known in metrics.label_sets(question.name):
            if any(known[name] != value for name, value in question.fixed.items()):
                continue
            value = found.get(tuple(known[name] for name in labels), question.otherwise)
            metrics.fill(question.name, UNKNOWN if rows is None or value is None else float(value), known)

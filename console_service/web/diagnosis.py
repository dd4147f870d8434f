"""What `outbox doctor` says, asked in the background: it asks the broker too, for which a page cannot wait."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import structlog

from console_service.settings import ConsoleSettings
from console_service.web.databases import names, together, topology
from outbox_relay.operations.diagnosis import doctor
from outbox_relay.operations.diagnosis.finding import Finding
from outbox_relay.operations.sagas.project import of_project
from waybill.runtime.settings import read

log: Any = structlog.get_logger()
WAIT_SECONDS: Final = 2.0  # that a page waits for an answer, where there is none or it is old
OLDEST_SECONDS: Final = 15.0  # that an answer is still shown once it should have been asked anew


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What is wrong, most urgent first; None: nobody has asked yet, or the answer is on its way."""

    findings: Sequence[Finding] | None
    at: float


class Doctor:
    """One question at a time, in a thread of its own; whoever looks sees the last answer, unless it is too old."""

    def __init__(
        self, question: Callable[[], Sequence[Finding]], seconds: float, oldest_seconds: float = OLDEST_SECONDS
    ) -> None:
        """Ask again once the last answer is so old; 0: never ask. It is shown for `oldest_seconds` after that."""
        self._question, self._seconds = question, seconds
        self._oldest = seconds + oldest_seconds
        self._lock, self._answered = threading.Lock(), threading.Event()
        self._asking = False
        self._last = Diagnosis(None, -self._oldest)

    def latest(self) -> Diagnosis:
        """Return the last answer, and have it asked anew where it is old."""
        if not self._seconds:
            return self._last
        with self._lock:
            age = time.monotonic() - self._last.at
            if age > self._oldest:
                self._answered.clear()
                self._last = Diagnosis(None, self._last.at)
            if not self._asking and age > self._seconds:
                self._asking = True
                threading.Thread(target=self._ask, name="doctor", daemon=True).start()
        self._answered.wait(WAIT_SECONDS)
        return self._last

    def _ask(self) -> None:
        try:
            found = self._question()
        except Exception as error:  # noqa: BLE001 - the page says that nobody knows, and it is asked again
            log.warning("diagnosis failed", reason=repr(error))
            found = None
        with self._lock:
            self._last = Diagnosis(found, time.monotonic())
            self._answered.set()
            self._asking = False


def ask() -> Sequence[Finding]:
    """Return what is wrong now. Raises what the operations raise."""
    kafka = topology().broker if topology().kafka else None
    saga = of_project()
    away: dict[str, str] = {}
    with together(names(), away) as sessions:
        return doctor.findings(sessions, away, kafka, saga)


@cache
def of_console() -> Doctor:
    """Return the one of this process."""
    return Doctor(ask, read(ConsoleSettings).console_doctor_seconds)

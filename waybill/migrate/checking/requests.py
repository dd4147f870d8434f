"""What a request leaves behind: an id in the log, an answer that tells health, counts that can be read.

Each is tried for real, in this process, with Django's own test client: a request for an address that nobody has.
"""

import logging
from collections.abc import Iterator, Sequence
from typing import Any, Final
from urllib.error import URLError
from urllib.request import urlopen
from uuid import uuid4

from django.conf import settings
from django.test import Client

from waybill.migrate.checking.items import Item, item

HEADER: Final = "X-Request-ID"
HEALTH: Final = ("/healthz", "/livez", "/health", "/health/", "/ht/", "/up")
METRICS: Final = ("/metrics", "/metrics/", "/prometheus/metrics")
SECONDS: Final = 5.0
OK: Final = 200


def look(health: str | None, metrics: str | None) -> Iterator[Item]:
    """Yield what is about requests; addresses are paths of the project, or URLs of something before it."""
    yield _request_id()
    yield _health((health,) if health else HEALTH)
    yield _metrics((metrics,) if metrics else METRICS)


class _NoAnswer(Exception):
    """Something of the project raised where it should have answered."""


class _Lines(logging.Handler):
    """Formats each record as the project's handlers would."""

    def __init__(self, logger: logging.Logger) -> None:
        super().__init__()
        self.lines: list[str] = []
        self._handlers = list(_handlers(logger))

    def emit(self, record: logging.LogRecord) -> None:
        for handler in self._handlers:
            if record.levelno >= handler.level and handler.filter(record):
                self.lines.append(handler.format(record))


def _handlers(logger: logging.Logger | None) -> Iterator[logging.Handler]:
    while logger is not None:
        yield from logger.handlers
        logger = logger.parent if logger.propagate else None


def _request_id() -> Item:
    logger = logging.getLogger("django.request")
    lines, sent = _Lines(logger), str(uuid4())
    logger.addHandler(lines)
    try:
        answer = _asked(f"/{uuid4()}", **{HEADER: sent})
    except _NoAnswer as error:
        do = "Correct it: the request was one for an address that nobody has."
        return item("request id", f"the project answers no request in this process: {error}", do, ok=False)
    finally:
        logger.removeHandler(lines)
    ids = {sent, answer.headers.get(HEADER, sent)}
    do = (
        f"Put the id of {HEADER}, which the gateway gives every request, into each log line: a middleware keeps it, a"
        " logging filter adds it, a formatter prints it. Django logs a 404 after the last middleware: look at"
        " record.request too."
    )
    if not lines.lines:
        return item("request id", "no handler takes what Django logs of a request: LOGGING", do, ok=False)
    found = any(one in line for one in ids if one for line in lines.lines)
    return item("request id", f"a request's log line {'has' if found else 'does not have'} its id", do, ok=found)


def _health(addresses: Sequence[str]) -> Item:
    found = next((one for one in addresses if (answer := _read(one)) is not None and answer[0] == OK), None)
    do = "Answer 200 at an address that needs no login: the gateway sends nothing where it fails. --health ADDRESS"
    text = f"{found} answers 200" if found else f"none answers 200: {', '.join(addresses)}"
    return item("health", text, do, ok=found is not None, required=False)


def _metrics(addresses: Sequence[str]) -> Item:
    answers = ((one, _read(one)) for one in addresses)
    found = next((one for one, answer in answers if answer and answer[0] == OK and "# TYPE " in answer[1]), None)
    do = "Count requests, errors and times by route; the gateway does: --metrics URL of its /stats/prometheus"
    text = f"{found} has counts" if found else f"none has counts in Prometheus' format: {', '.join(addresses)}"
    return item("metrics", text, do, ok=found is not None, required=False)


def _read(address: str) -> tuple[int, str] | None:
    if address.startswith(("http://", "https://")):
        try:
            with urlopen(address, timeout=SECONDS) as answer:  # noqa: S310 - the operator's own address  # nosec B310
                return answer.status, answer.read().decode(errors="replace")
        except (URLError, OSError):
            return None
    try:
        answer = _asked(address)
    except _NoAnswer:
        return None
    return answer.status_code, b"".join(answer).decode(errors="replace")


def _asked(path: str, **headers: str) -> Any:
    hosts = [host.lstrip(".") for host in settings.ALLOWED_HOSTS if host.strip("*.")]
    client = Client(raise_request_exception=False, SERVER_NAME=hosts[0] if hosts else "localhost")
    try:
        return client.get(path, headers=headers, secure=True)
    except Exception as error:  # whatever a middleware or a logging filter of the project raises
        raise _NoAnswer(f"{type(error).__name__}: {error}") from error

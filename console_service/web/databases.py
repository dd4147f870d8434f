"""The services' databases, asked side by side; one that does not answer costs its own answer, and is named.

Sessions are kept from one page to the next. A database that was not reached is not tried again for some seconds: pages
are refreshed every two, and each would wait for it anew.
"""

import time
from collections.abc import Callable, Collection, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from queue import Empty, Full, LifoQueue
from typing import Final, TypeVar

import psycopg
from django.http import HttpRequest

from console_service.settings import ConsoleSettings
from outbox_relay.databases import database_urls, short_name
from outbox_relay.operations.topology import Topology
from waybill.database.postgres_client import open_session, parameters
from waybill.database.sqlstate import one_line
from waybill.runtime.settings import KafkaEnvironment, read

Answer = TypeVar("Answer")
PROGRAM: Final = "console"
THREADS: Final = 16
KEPT: Final = 4  # sessions of one database: as many pages are made at once
AWAY_SECONDS: Final = 5.0
UNREACHED: Final = "console.unreached"


@cache
def topology() -> Topology:
    """Return where the databases and the broker are, as every operation takes it. Raises ValueError."""
    kafka = read(KafkaEnvironment)
    return Topology(_urls(), kafka.kafka_bootstrap, kafka.kafka_properties_file)


def names() -> list[str]:
    """Return the services that are shown, as in `order`."""
    return list(_urls())


@cache
def _urls() -> dict[str, str]:
    given = read(ConsoleSettings).outbox_databases
    return {short_name(name): url for name, url in database_urls(given).items()} if given else {}


def ask(
    request: HttpRequest,
    question: Callable[[str, psycopg.Connection], Answer],
    services: Collection[str] | None = None,
) -> dict[str, Answer]:
    """Put a question to the services' databases, all unless some are named; returns the answers by service.

    The question may be put again, so it must only read. The page names every database that did not answer.
    """
    chosen = [one for one in names() if services is None or one in services]
    asked = {one: _threads().submit(_database(one).ask, question) for one in chosen}
    answers: dict[str, Answer] = {}
    for service, answer in asked.items():
        try:
            answers[service] = answer.result()
        except psycopg.Error as error:
            unreached(request)[service] = one_line(error)
    return answers


def change(service: str, what: Callable[[str, psycopg.Connection], Answer]) -> Answer:
    """Let something be done in a service's database, once. Raises psycopg.Error."""
    return _database(service).change(what)


@contextmanager
def together(services: Collection[str], away: dict[str, str]) -> Generator[dict[str, psycopg.Connection]]:
    """Give a session of each of these databases, for a question to all at once; `away` is told why there is none."""
    taken: dict[str, psycopg.Connection] = {}
    try:
        for service in (one for one in names() if one in services):
            try:
                taken[service] = _database(service).take()
            except psycopg.Error as error:
                away[service] = one_line(error)
        yield taken
    finally:
        for service, connection in taken.items():
            _database(service).give(connection)


def unreached(request: HttpRequest) -> dict[str, str]:
    """Return which databases a page did not reach, and why."""
    return request.META.setdefault(UNREACHED, {})


@dataclass(slots=True)
class _Database:
    """One service's database."""

    service: str
    url: str
    idle: LifoQueue[psycopg.Connection] = field(default_factory=lambda: LifoQueue(KEPT))
    away_until: float = 0.0
    why: str = ""

    def ask(self, question: Callable[[str, psycopg.Connection], Answer], *, keep: bool = True) -> Answer:
        """Answer from a session of before, or a new one. Raises psycopg.Error."""
        if time.monotonic() < self.away_until:
            raise psycopg.OperationalError(self.why)
        try:
            connection = self.idle.get_nowait()
        except Empty:
            return self._on_new(question, keep=keep)
        try:
            return self._on(connection, question, keep=keep)
        except psycopg.OperationalError:
            if not connection.closed:
                raise
            self._forget()  # the server went and came: all sessions of before are lost
            return self._on_new(question, keep=keep)

    def take(self) -> psycopg.Connection:
        """Return a session that answers, for whoever gives it back. Raises psycopg.Error."""
        return self.ask(lambda _, connection: connection.execute("SELECT").connection, keep=False)

    def give(self, connection: psycopg.Connection) -> None:
        """Keep a session for the next page."""
        try:
            self.idle.put_nowait(connection)
        except Full:
            connection.close()

    def change(self, what: Callable[[str, psycopg.Connection], Answer]) -> Answer:
        """Do it on a session of its own. Raises psycopg.Error."""
        with self._open() as connection:
            return what(self.service, connection)

    def _on_new(self, question: Callable[[str, psycopg.Connection], Answer], *, keep: bool) -> Answer:
        try:
            connection = self._open()
        except psycopg.Error as error:
            self.why, self.away_until = one_line(error), time.monotonic() + AWAY_SECONDS
            raise
        return self._on(connection, question, keep=keep)

    def _on(
        self, connection: psycopg.Connection, question: Callable[[str, psycopg.Connection], Answer], *, keep: bool
    ) -> Answer:
        try:
            answer = question(self.service, connection)
        except BaseException:
            connection.close()
            raise
        if keep:
            self.give(connection)
        return answer

    def _open(self) -> psycopg.Connection:
        settings = read(ConsoleSettings)
        limits = {"statement_timeout": f"{settings.console_statement_seconds}s", "lock_timeout": "2s"}
        given = parameters(self.url, PROGRAM, limits)
        given |= {"target_session_attrs": "any", "connect_timeout": settings.console_connect_seconds}
        return open_session(given)

    def _forget(self) -> None:
        with suppress(Empty):
            while True:
                self.idle.get_nowait().close()


@cache
def _database(service: str) -> _Database:
    return _Database(service, _urls()[service])


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(THREADS, thread_name_prefix="databases")


def close() -> None:
    """Let go of every session, and read the settings anew; for tests, and at the program's end."""
    for service in names():
        _database(service)._forget()  # noqa: SLF001 - of this module
    for function in (topology, _urls, _database):
        function.cache_clear()

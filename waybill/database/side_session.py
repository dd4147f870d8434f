"""One database session a program, beside its work: for its heartbeat, and for what is asked at a scrape.

Whoever asks waits for some seconds at most, whatever the database does: the statements run in a thread of the session's
own, which alone waits for a server that is frozen or unreachable. Each question runs in a transaction of its own with a
time-out, so that it costs little and holds no snapshot.
"""

import time
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from threading import BoundedSemaphore, Thread
from typing import Any, Final, TypeVar

import psycopg

from waybill.database.postgres_client import open_session, parameters

Answer = TypeVar("Answer")
WAIT_SECONDS: Final = 3.0  # of one question: probes and scrapes give up after some seconds themselves
CONNECT_SECONDS: Final = 2  # libpq's least for one host
LIMITS: Final = "SET LOCAL statement_timeout = '2s'; SET LOCAL lock_timeout = '1s'"


class SideSession:
    """A session that connects when first asked, and anew after each failure.

    A question that meets a session lost meanwhile is asked once more, so it must be one that may be answered twice.
    """

    def __init__(self, url: str, program: str, *, pooled: bool = False) -> None:
        """Start the thread; connects to nothing yet. `program` is the session's name in pg_stat_activity."""
        self._url, self._program, self._pooled = url, program, pooled
        self._connection: psycopg.Connection | None = None
        self._free = BoundedSemaphore()
        self._jobs: SimpleQueue[tuple[Callable[[psycopg.Connection], Any], Future[Any]]] = SimpleQueue()
        Thread(target=self._serve, name="side session", daemon=True).start()

    def ask(self, question: Callable[[psycopg.Connection], Answer], wait_seconds: float = WAIT_SECONDS) -> Answer:
        """Answer a question within a transaction; blocks `wait_seconds` at most.

        Raises:
            psycopg.Error: The database does not answer, or refuses.
            TimeoutError: It has not answered in time.

        """
        until = time.monotonic() + wait_seconds
        if not self._free.acquire(timeout=wait_seconds):
            raise TimeoutError(f"the database has not answered for {wait_seconds:.0f} s")
        answer: Future[Answer] = Future()
        self._jobs.put((question, answer))
        try:
            return answer.result(max(0.0, until - time.monotonic()))
        except TimeoutError:
            raise TimeoutError(f"the database has not answered for {wait_seconds:.0f} s") from None

    def _serve(self) -> None:
        while True:
            question, answer = self._jobs.get()
            try:
                answer.set_result(self._answer(question))
            except BaseException as error:  # noqa: BLE001 - it belongs to whoever asked
                answer.set_exception(error)
            finally:
                self._free.release()

    def _answer(self, question: Callable[[psycopg.Connection], Answer]) -> Answer:
        if self._connection is not None and not self._connection.closed:
            try:
                return self._ask(self._connection, question)
            except psycopg.OperationalError:
                if not self._connection.broken:
                    raise
                # Lost while nobody asked, by a restart say: that tells nothing of the server of now.
        session = parameters(self._url, f"{self._program} side session", pooled=self._pooled)
        session |= {"connect_timeout": CONNECT_SECONDS}
        self._connection = open_session(session, pooled=self._pooled)
        self._connection.autocommit = False
        return self._ask(self._connection, question)

    def _ask(self, connection: psycopg.Connection, question: Callable[[psycopg.Connection], Answer]) -> Answer:
        try:
            with connection.transaction():
                connection.execute(LIMITS)
                return question(connection)
        except psycopg.Error:
            if not connection.broken:
                connection.close()  # the next one may meet another server, or another password
            raise

"""Answers that wait for an aggregate to change, and hold no thread meanwhile.

All who wait in a process share one question to the database a tenth of a second, and none is asked while nobody waits.
Rejected: LISTEN, which needs a session of its own, hears of every aggregate, and does not go through a pooler in
transaction mode; a question for each who waits.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

import structlog
from django.db import Error as DatabaseFailed
from django.http import HttpRequest, HttpResponse

from waybill.database.sqlstate import one_line
from waybill.models import AggregateRow
from waybill.rest.openapi.operations import facts_of
from waybill.rest.serving.request_threads import read

log: structlog.stdlib.BoundLogger = structlog.get_logger()
P = ParamSpec("P")
Row = TypeVar("Row", bound=AggregateRow)
AsyncEndpoint = Callable[Concatenate[HttpRequest, P], Awaitable[HttpResponse]]

POLL_SECONDS: Final = 0.1
LONGEST_WAIT_SECONDS: Final = 60  # below what balancers allow between a request and its answer
WAIT: Final = re.compile(r"(?:^|[,;])\s*wait\s*=\s*(\d{1,9})\s*(?=$|[,;])", re.IGNORECASE)


class Changes:
    """Who waits for which aggregate; for one event loop. After `close` nobody waits any more."""

    def __init__(self) -> None:
        self._waiting: dict[tuple[type[AggregateRow], Any], dict[asyncio.Event, int]] = {}
        self._polling: asyncio.Task[None] | None = None
        self.closed = False

    def close(self) -> None:
        """Let everybody go on at once, as when the program ends; may be called by a signal's handler."""
        self.closed = True

    async def after(self, row: AggregateRow, seconds: float) -> bool:
        """Wait until the aggregate has another version than this row, and return whether that came in time."""
        if self.closed or seconds <= 0:
            return False
        key, changed = (type(row), row.pk), asyncio.Event()
        waiters = self._waiting.setdefault(key, {})
        waiters[changed] = row.version
        if self._polling is None or self._polling.done():
            self._polling = asyncio.create_task(self._poll())
        try:
            await asyncio.wait_for(changed.wait(), seconds)
        except TimeoutError:
            return False
        finally:
            del waiters[changed]
            if not waiters:
                self._waiting.pop(key, None)
        return not self.closed

    async def _poll(self) -> None:
        while self._waiting:
            await asyncio.sleep(POLL_SECONDS)
            for table in {table for table, _ in self._waiting}:
                await self._look(table)

    async def _look(self, table: type[AggregateRow]) -> None:
        keys = [key for of, key in self._waiting if of is table]
        versions: dict[Any, int] = {}
        if not self.closed:
            try:
                versions = await read(_versions, table, keys)
            except DatabaseFailed as error:  # who waits goes on waiting: the database may be back in time
                log.warning("database unavailable", reason=one_line(error))
        for key in keys:
            for changed, known in self._waiting.get((table, key), {}).items():
                if self.closed or versions.get(key, known) != known:
                    changed.set()


CHANGES: Final = Changes()


def _versions(table: type[AggregateRow], keys: list[Any]) -> dict[Any, int]:
    return dict(table._default_manager.filter(pk__in=keys).values_list("pk", "version"))  # noqa: SLF001 - Django's documented name


def waits(view: AsyncEndpoint[P]) -> AsyncEndpoint[P]:
    """Say that the endpoint heeds `Prefer: wait=N`, which `until_ended` does, and tell the client that it did."""

    @wraps(view)
    async def waiting(request: HttpRequest, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        response = await view(request, *args, **kwargs)
        if (seconds := wanted(request)) is not None:
            response.headers["Preference-Applied"] = f"wait={seconds}"
        return response

    facts = facts_of(waiting)
    facts.takes += ("Prefer",)
    facts.headers += ("Preference-Applied",)
    return waiting


def wanted(request: HttpRequest) -> int | None:
    """Return for how many seconds at most the client wants to wait; a preference that makes no sense is no error."""
    found = WAIT.search(request.headers.get("Prefer", ""))
    return found and min(int(found[1]), LONGEST_WAIT_SECONDS)


async def until_ended(request: HttpRequest, find: Callable[[], Row]) -> Row:
    """Return the row that `find` reads, once its aggregate has ended or the client wants to wait no longer.

    Raises what `find` raises.
    """
    row = await read(find)
    loop = asyncio.get_running_loop()
    end = loop.time() + (wanted(request) or 0)
    while not row.has_ended and await CHANGES.after(row, end - loop.time()):
        row = await read(find)
    return row

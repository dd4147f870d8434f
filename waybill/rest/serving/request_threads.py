"""The threads in which endpoints run; each keeps its database connection from one request to the next."""

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from django.db import Error as DatabaseFailed
from django.db import connection

from waybill.database import sessions
from waybill.database.sqlstate import ErrorClass, classify
from waybill.runtime.settings import settings
from waybill.runtime.threads import Threads

Result = TypeVar("Result")
Given = ParamSpec("Given")
_threads: list[Threads] = []


def in_loop() -> bool:
    """Tell whether this is the event loop's thread, which has no database session."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


async def in_thread(function: Callable[Given, Result], *given: Given.args, **named: Given.kwargs) -> Result:
    """Call the function in one of the threads, as soon as one is free; to be called by the event loop only."""
    if not _threads:
        _threads.append(Threads(settings().web_threads, "web"))
    return await asyncio.wrap_future(_threads[0].submit(function, *given, **named))


async def read(function: Callable[Given, Result], *given: Given.args, **named: Given.kwargs) -> Result:
    """Ask the database from an async endpoint; a session that turns out to be lost is replaced once.

    The function must only read. Raises what it raises.
    """
    return await in_thread(_read, lambda: function(*given, **named))


def _read(function: Callable[[], Result]) -> Result:
    sessions.renew()
    connected = connection.connection is not None
    try:
        return function()
    except DatabaseFailed as error:
        found = classify(error)
        if not connected or found is None or found is ErrorClass.RECORD:
            raise
        connection.close()
        if found is ErrorClass.WRONG_SERVER:
            sessions.end_all()
    return function()

"""Calls of the asynchronous ORM to several services at once.

Django runs every call of its asynchronous ORM (`aget`, `acount`, `async for`) in one thread of the request, so that
asyncio's `gather` makes them one after the other. Here each has a thread of its own for as long as it runs, by
asgiref's ThreadSensitiveContext, and uses the request's own connections to services: what they remember and count is
one. A connection to a local database is another one in each thread, so it sees nothing of an open transaction.
"""

import asyncio
from collections.abc import Awaitable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from asgiref.sync import ThreadSensitiveContext, sync_to_async
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from waybill.rest_backend.router import services


async def gather(*calls: Awaitable[Any]) -> list[Any]:
    """Return the results of all calls, made at once; once all have ended, raise the error of the first that failed.

    product, reviews = await gather(Product.objects.aget(pk=1), Review.objects.filter(product=1).acount())
    """
    lent = await sync_to_async(_lent)()
    try:
        results = await asyncio.gather(*(_alone(call, lent) for call in calls), return_exceptions=True)
    finally:
        await sync_to_async(_taken_back)(lent)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return results


async def _alone(call: Awaitable[Any], lent: list[BaseDatabaseWrapper]) -> Any:
    with ThreadPoolExecutor(1) as thread:
        async with ThreadSensitiveContext(executor=thread):
            await sync_to_async(_used)(lent)
            try:
                return await call
            finally:
                await sync_to_async(_closed)(lent)


def _lent() -> list[BaseDatabaseWrapper]:
    found = [connections[alias] for alias in services()]
    for connection in found:
        connection.inc_thread_sharing()
    return found


def _taken_back(lent: list[BaseDatabaseWrapper]) -> None:
    for connection in lent:
        connection.dec_thread_sharing()


def _used(lent: list[BaseDatabaseWrapper]) -> None:
    for connection in lent:
        connections[connection.alias] = connection


def _closed(lent: list[BaseDatabaseWrapper]) -> None:
    """Close what the call's thread opened by itself."""
    for connection in connections.all(initialized_only=True):
        if connection not in lent:
            connection.close()

"""The gate as an ASGI application: `/AGGREGATE/the path of the request`, as Envoy's `ext_authz` asks."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from typing import Any, Final

import structlog

from waybill.deciders.outcomes import Code
from waybill.migrate.gate.rows import MOST_WAITING, Rows, TooMany
from waybill.observability import metrics
from waybill.observability.telemetry import new_id
from waybill.rest.problem import Problem

log: structlog.stdlib.BoundLogger = structlog.get_logger()
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

OWNER: Final = b"x-waybill-owner"
SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
AGAIN: Final = {"Retry-After": "1"}
ANSWERS: Final = ("here", "there", "held_too_long", "too_many", "database_away", "hung_up")


class Gate:
    """Answers where a request goes, once it may go."""

    def __init__(self, rows: Rows, names: Collection[str], seconds: float) -> None:
        """Take what is read, the aggregates, and the longest that a question waits."""
        self._rows, self._names, self._seconds = rows, frozenset(names), seconds

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Answer one question."""
        name = scope["path"].split("/", 2)[1]
        if name not in self._names:
            known = ", ".join(sorted(self._names))
            log.error("unknown aggregate", path=f"/{name}", known=known)
            problem = Problem(500, Code.INTERNAL_ERROR, f"the policy's path must be / and one of: {known}")
            await _refuse(send, problem)
            return
        begun = time.monotonic()
        answer = await self._answer(name, scope["method"] in SAFE, receive)
        metrics.inc("gate_answers_total", aggregate=name, answer=answer)
        metrics.observe("gate_answer_seconds", time.monotonic() - begun, aggregate=name)
        match answer:
            case "here" | "there":
                await _send(send, 200, [(OWNER, answer.encode()), (b"content-length", b"0")])
            case "hung_up":
                return
            case _:
                await _refuse(send, self._problem(answer))

    async def _answer(self, name: str, is_safe: bool, receive: Receive) -> str:
        try:
            asked = self._rows.ask(name, is_safe=is_safe)
        except TooMany:
            return "too_many"
        gone = asyncio.ensure_future(_hung_up(receive))
        try:
            await asyncio.wait((asked, gone), timeout=self._seconds, return_when=asyncio.FIRST_COMPLETED)
            if asked.done():
                return "here" if asked.result().is_here else "there"
            return "hung_up" if gone.done() else "database_away" if self._rows.reason else "held_too_long"
        finally:
            asked.cancel()
            gone.cancel()

    def _problem(self, answer: str) -> Problem:
        match answer:
            case "too_many":
                said = f"{MOST_WAITING} requests wait already until their rows' owner is settled"
                return Problem(503, Code.OVERLOADED, said, headers=AGAIN)
            case "database_away":
                said = "the database that tells who owns the rows does not answer"
                return Problem(503, Code.DATABASE_UNAVAILABLE, said, headers=AGAIN)
            case _:
                said = f"the rows' owner was not settled within {self._seconds:g} s; nothing was done"
                return Problem(503, Code.OVERLOADED, said, headers=AGAIN)


async def _hung_up(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _refuse(send: Send, problem: Problem) -> None:
    headers, body = problem.plain(new_id())
    await _send(send, problem.status, [(name.lower(), value) for name, value in headers], body)


async def _send(send: Send, status: int, headers: Headers, body: bytes = b"") -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})

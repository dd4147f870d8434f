"""Shift and roll back: publish, wait until Envoy has it, watch, and go back by itself.

    prepare → begun (on record) → publish → in effect → watched → kept, or taken back (on record)

Every step leaves one generation or another, whole. Who is killed between two of them leaves a route that works, a
record that begins and does not end, and no lock.
"""

import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from waybill.gateway import generations
from waybill.gateway.documents.document import Document
from waybill.gateway.envoy import program as envoy
from waybill.gateway.moving import moves, record, watching
from waybill.gateway.moving.moves import Move, NotPossible
from waybill.gateway.moving.watching import Limits, NotWatchable
from waybill.gateway.site import Site

POLL_SECONDS: Final = 0.25
BLIND_SECONDS: Final = 5.0  # without a word of Envoy, after which a move that is watched goes back
CONNECT_SECONDS: Final = 2.0

Result = dict[str, Any]


@dataclass(frozen=True)
class Who:
    """Who moves, and why."""

    by: str
    reason: str


@dataclass(frozen=True)
class Watch:
    """How a move is watched, and for how long."""

    seconds: float
    limits: Limits
    shadow: Path | None
    """The shadow program's file; None where there is none."""


class Interrupted(Exception):
    """The operator ended the command while it watched."""


def shift(folder: Path, move: Move, who: Who, watch: Watch, interrupted: Callable[[], bool]) -> Result:
    """Move a route, and say what came of it: `kept`, `taken_back` or `unchanged`.

    Raises:
        NotPossible: nothing is changed.
        NotWatchable: Envoy does not answer; nothing is changed.
        Taken: another command moves the route.
        Refused: the gateway does not take the documents; the route is as before.

    """
    site = Site.load(folder / generations.SITE)
    moves.route_of(generations.read(folder), move.route)
    with record.alone(folder, move.route, who.by):
        with generations.documents_alone(folder):
            documents = generations.read(folder)
            ready = moves.prepared(documents, move, site.backends)
            after = moves.moved(ready, move)
            before = moves.route_of(ready, move.route)
            if after.body == before.body:
                return {"route": move.route, "result": "unchanged", "now": moves.standing(before)}
            _reachable(site, move.service)
            watcher = _Watcher(site.admin, before, move, watch) if watch.seconds else None
            if ready != documents:
                why = f"prepare: {who.reason}"
                made = generations.publish(folder, ready, by=who.by, reason=why, at_once=True)
                envoy.await_applied(site.admin, made.number)
        return _carried_out(folder, before, after, who, watcher, interrupted)


def _carried_out(
    folder: Path,
    before: Document,
    after: Document,
    who: Who,
    watcher: "_Watcher | None",
    interrupted: Callable[[], bool],
) -> Result:
    facts = {"from": moves.standing(before), "to": moves.standing(after)}
    number = record.begin(
        folder,
        verb="shift",
        route=after.name,
        by=who.by,
        reason=who.reason,
        **facts,
        before=before.body,
        after=after.body,
    )
    result: Result = {"id": number, "route": after.name, "result": "kept", **facts}
    try:
        result |= _put(folder, after, who)
        why = watcher.watch(interrupted) if watcher else None
    except Interrupted:
        why = "the command was ended while it watched"
        result["interrupted"] = True
    except BaseException:
        _put(folder, before, replace(who, reason=f"back: {who.reason}"))
        record.end(folder, number, after.name, "taken_back", why="the command failed")
        raise
    if why is not None:
        back = _put(folder, before, replace(who, reason=f"back: {why}"))
        result |= {"result": "taken_back", "why": why, "back_ms": back["in_effect_ms"]}
    result["observed"] = watcher.observed if watcher else None
    told = {name: value for name, value in result.items() if name not in {"id", "route", "result", "from", "to"}}
    record.end(folder, number, after.name, result["result"], **told)
    return result


def rollback(folder: Path, route: str, who: Who) -> Result:
    """Take the last move of a route back that is in effect.

    Raises:
        NotPossible: there is none, or the route was changed since by something else.
        Taken: another command moves the route.

    """
    moves.route_of(generations.read(folder), route)
    with record.alone(folder, route, who.by):
        now = moves.route_of(generations.read(folder), route)
        last = record.to_undo(folder, now)
        if last is None:
            raise NotPossible(f"no move of route {route} is in effect: there is nothing to take back")
        if not moves.is_as(now, last.after):
            raise NotPossible(
                f"route {route} was changed since {last.by} moved it at {last.at}, by other documents: shift it to "
                "where it shall be"
            )
        before = moves.restored(now, last.before)
        facts = {"from": moves.standing(now), "to": moves.standing(before)}
        number = record.begin(
            folder,
            verb="rollback",
            route=route,
            by=who.by,
            reason=who.reason,
            **facts,
            before=now.body,
            after=before.body,
            undoes=last.id,
        )
        put = _put(folder, before, who)
        record.end(folder, number, route, "kept", **put)
        return {"id": number, "route": route, "result": "taken_back", **facts, **put}


def _put(folder: Path, route: Document, who: Who) -> Result:
    """Make this the route; by renaming where the generation before has just that and nothing else was moved since."""
    site = Site.load(folder / generations.SITE)
    begun = time.monotonic()
    with generations.documents_alone(folder):
        wanted = moves.replaced(generations.read(folder), route)
        former = generations.current(folder).replaced
        if former in generations.numbers(folder) and generations.read(folder, former) == wanted:
            made = generations.rollback(folder)
        else:
            made = generations.publish(folder, wanted, by=who.by, reason=who.reason, at_once=True)
        runs = envoy.await_applied(site.admin, made.number)
    taken = round((time.monotonic() - begun) * 1000)
    return {"generation": made.number, "in_effect_ms": taken if runs else None}


def _reachable(site: Site, service: str) -> None:
    """Raise NotPossible where nobody listens at any of the service's addresses."""
    failed: list[str] = []
    for address in site.addresses(service):
        try:
            socket.create_connection(address, timeout=CONNECT_SECONDS).close()
        except OSError as error:
            failed.append(f"{address[0]}:{address[1]}: {error}")
        else:
            return
    raise NotPossible(f"service {service} does not answer: {'; '.join(failed)}")


class _Watcher:
    """Holds what a service answers against what the others do, from before the move on."""

    def __init__(self, admin: str, route: Document, move: Move, watch: Watch) -> None:
        """Read what stands before the move. Raises NotWatchable."""
        self._admin, self._watch = admin, watch
        self._candidate, self._others = moves.watched(route, move)
        self._begin = self._read()
        self._compared = watching.compared(watch.shadow)
        self.observed: Result = {}

    def _read(self) -> tuple[watching.Counts, watching.Counts]:
        return watching.counts(self._admin, self._candidate), watching.counts(self._admin, self._others)

    def watch(self, interrupted: Callable[[], bool]) -> str | None:
        """Return which limit was passed, in words; None where the time is over and none was. Raises Interrupted."""
        over = time.monotonic() + self._watch.seconds
        heard = time.monotonic()
        while time.monotonic() < over:
            if interrupted():
                raise Interrupted
            try:
                why = self._judge()
                heard = time.monotonic()
            except NotWatchable as error:
                why = str(error) if time.monotonic() - heard > BLIND_SECONDS else None
            if why is not None:
                return why
            time.sleep(POLL_SECONDS)
        return None

    def _judge(self) -> str | None:
        limits = self._watch.limits
        candidate, others = (now.since(begin) for now, begin in zip(self._read(), self._begin, strict=True))
        now = watching.compared(self._watch.shadow)
        self.observed = {
            "requests": candidate.requests,
            "error_ratio": round(candidate.error_ratio, 4),
            "p95_ms": candidate.p95_ms,
            "others_requests": others.requests,
            "others_error_ratio": round(others.error_ratio, 4),
            "others_p95_ms": others.p95_ms,
            "compared": now.compared - self._compared.compared,
            "mismatched": now.mismatched - self._compared.mismatched,
            "judged": candidate.requests >= limits.least,
        }
        return watching.too_bad(candidate, others, self._begin[1], limits) or watching.too_different(
            self._compared, now, limits
        )

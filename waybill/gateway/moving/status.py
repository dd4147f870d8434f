"""What stands in the gateway's folder, and what became of the last move of each route."""

from http.client import HTTPException
from pathlib import Path
from typing import Any

from waybill.gateway import generations
from waybill.gateway.documents.document import Document
from waybill.gateway.envoy import program as envoy
from waybill.gateway.moving import moves, record
from waybill.gateway.moving.record import Begun
from waybill.gateway.site import Site


def rules(folder: Path) -> list[dict[str, Any]]:
    """Return each rule that leads to a service, with what is under way on its route. Raises Refused."""
    documents = generations.read(folder)
    return [
        one | {"move": state}
        for _, route in sorted(moves.routes(documents).items())
        for state in (_state(folder, route),)
        for one in moves.standing(route)
        if one.pop("in_use")
    ]


def _state(folder: Path, route: Document) -> str | None:
    if (held := record.holder(folder, route.name)) is not None:
        return held
    last = record.unfinished(folder, route.name)
    return None if last is None else _explained(last, route)


def _explained(last: Begun, route: Document) -> str:
    """Say what a command has left behind that was killed."""
    began = (
        f"a {last.verb} of {route.name} by {last.by}, begun at {last.at} ({last.reason}), did not end: its command is "
        "gone"
    )
    if last.is_in_effect(route):
        return f"{began}; it is in effect, and nobody watches it: `rollback {route.name}`, or shift again"
    if moves.is_as(route, last.before):
        return f"{began}; it is not in effect: shift again"
    return f"{began}; the route was changed since"


def running(folder: Path) -> tuple[str, str | None]:
    """Return the number of the current generation, and of the one that Envoy runs; None where it does not answer."""
    current = str(generations.current(folder).number)
    try:
        found = envoy.stats(Site.load(folder / generations.SITE).admin, "version_text")
    except (OSError, HTTPException):
        return current, None
    return current, ", ".join(sorted(envoy.versions_of(found))) or "nothing"

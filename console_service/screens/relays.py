"""Relays: who leads, how far it is, what is missing below; paused and resumed."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from django.http import HttpRequest

from console_service.web.action import Action, Asked, Plan, Refused
from console_service.web.databases import ask, change, names
from console_service.web.page import page
from outbox_relay.operations import pause as pauses
from outbox_relay.operations.pause import Pause
from outbox_relay.operations.status import Status, read_status


@page("console/relays.html", "Relays")
def show(request: HttpRequest) -> Mapping[str, Any]:
    """Show the relay of each service."""
    now = datetime.now(tz=UTC)
    found = ask(request, read_status)
    return {"relays": [_shown(one, now) for one in found.values()]}


def _shown(status: Status, now: datetime) -> dict[str, Any]:
    oldest = None if status.oldest_seconds is None else now - timedelta(seconds=status.oldest_seconds)
    return {
        "service": status.service,
        "leader": status.leader,
        "needs_none": status.handles_only,
        "no_relay": bool(status.no_relay),
        "relay_login": status.relay_login,
        "position": status.position,
        "last": status.last,
        "gaps": [str(first) if first == last else f"{first}..{last}" for first, last in status.gaps],
        "unpublished": status.unpublished,
        "oldest": oldest and datetime.fromtimestamp(round(oldest.timestamp(), -1), tz=UTC),
        "dead_letters": status.dead_letter_publications,
        "programs": [one for one in status.programs if one.program == "relay"],
        "paused_by": status.paused_by,
        "paused_for": status.paused_for,
        "paused_since": status.paused_since,
    }


def _service(asked: Asked) -> tuple[str, Pause | None]:
    service = asked.fields.get("service", "")
    if service not in names():
        raise Refused("say which service's relay")
    return service, change(service, pauses.read)


def _plan_pause(asked: Asked) -> Plan:
    service, stands = _service(asked)
    if stands:
        raise Refused(f"the relay of {service} is paused already, {stands}")
    return Plan(
        f"The relay of {service} publishes nothing until it is resumed. Events are recorded all the same; what follows "
        "from them in other services waits.",
        bound=[service],
    )


def _pause(asked: Asked) -> str:
    service, _ = _service(asked)
    stands, made = change(service, lambda name, open_: pauses.begin(name, open_, asked.by, asked.reason))
    if not made:
        raise Refused(f"the relay of {service} is paused already, {stands}")
    return f"The relay of {service} is paused"


def _plan_resume(asked: Asked) -> Plan:
    service, stands = _service(asked)
    if stands is None:
        raise Refused(f"the relay of {service} is not paused")
    return Plan(
        f"The relay of {service} publishes again, first what has waited.",
        [f"paused {stands}"],
        warning="" if stands.paused_by == asked.by else f"{stands.paused_by} paused it, and may still need that.",
    )


def _resume(asked: Asked) -> str:
    service, _ = _service(asked)
    ended = change(service, lambda name, open_: pauses.end(name, open_, asked.by, asked.reason))
    return f"The relay of {service} publishes again" if ended else f"The relay of {service} was resumed meanwhile"


pause = Action("pause", back="relays", plan=_plan_pause, execute=_pause)
resume = Action("resume", back="relays", plan=_plan_resume, execute=_resume)

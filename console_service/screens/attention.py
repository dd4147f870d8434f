"""Attention: what only a person can end, what to do, and a way to end it on record."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from django.http import HttpRequest

from console_service.web.access import Role
from console_service.web.action import Action, Asked, Plan, Refused
from console_service.web.databases import ask, names, topology
from console_service.web.masking import masked
from console_service.web.page import page
from outbox_relay.operations.attention import Marked, read_attention
from outbox_relay.operations.service_programs import refuse_projects
from outbox_relay.operations.tasks import ending as settling
from outbox_relay.operations.topology import DependencyDown
from waybill.runtime.reports import ProgramFailed, SettlementRefused, SettleRequest, TaskSettled

PAID, WRITTEN_OFF = "paid", "written-off"
LONGEST_REFERENCE: Final = 200


@dataclass(frozen=True, slots=True)
class _Row:
    """What needs attention, with the key by which it is settled."""

    marked: Marked

    @property
    def key(self) -> str:
        """Return the aggregate's id."""
        return self.marked.aggregate.partition("/")[2]


@page("console/attention.html", "Attention")
def show(request: HttpRequest) -> Mapping[str, Any]:
    """List it, longest first."""
    found = [one for listed in ask(request, read_attention).values() for one in listed]
    return {"rows": [_Row(one) for one in sorted(found, key=lambda one: one.since)]}


def _request(asked: Asked, *, execute: bool) -> tuple[str, SettleRequest]:
    service, key, how = (asked.fields.get(name, "").strip() for name in ("service", "key", "how"))
    if service not in names():
        raise Refused(f"no service {service!r}; there are {', '.join(names())}")
    if not key or how not in {PAID, WRITTEN_OFF}:
        raise Refused("say what is settled, and whether it was paid elsewhere or is written off")
    reference = asked.fields.get("reference", "").strip()
    if how == PAID and not 0 < len(reference) <= LONGEST_REFERENCE:
        raise Refused("say under which reference it was paid; it is published, so name no person in it")
    reason = asked.reason if execute else None
    return service, SettleRequest(key, reference if how == PAID else None, execute, asked.by, reason)


def _settle(asked: Asked, *, execute: bool) -> TaskSettled:
    service, request = _request(asked, execute=execute)
    refuse_projects(topology(), [service], "due tasks")
    match settling.settle(topology(), service, request):
        case ProgramFailed(reason=reason):
            raise DependencyDown(f"{service}: {reason}")
        case SettlementRefused(reason=reason):
            raise Refused(f"{reason}; nothing is changed")
        case settled:
            return settled


def _plan(asked: Asked) -> Plan:
    settled = _settle(asked, execute=False)
    return Plan(
        f"{settled.task} of {settled.aggregate} is settled, and attempted no more. Recorded and published:",
        lines=[f"{event['type']}: {_seen(asked, event['payload'])}" for event in settled.events],
        warning="An event cannot be taken back. Nothing is paid by this: it says what was done elsewhere.",
        bound=[settled.aggregate, settled.task, list(settled.events)],
    )


def _seen(asked: Asked, payload: Any) -> Any:
    return payload if asked.viewer.may(Role.PAYLOAD) else masked(payload)


def _execute(asked: Asked) -> str:
    settled = _settle(asked, execute=True)
    recorded = ", ".join(event["type"] for event in settled.events)
    return f"{recorded} recorded; {settled.task} of {settled.aggregate} is settled"


settle = Action("settle", back="attention", plan=_plan, execute=_execute)

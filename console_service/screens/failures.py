"""Failures: dead letters in groups, those of a group page by page, and their redrive at a rate.

A redrive's dry run counts what is chosen now, and the execution takes no dead letter that came after it: the moment
stands among the fields that the seal binds.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlencode
from uuid import UUID

from django.http import HttpRequest, QueryDict
from django.urls import reverse

from console_service.web import jobs as commands
from console_service.web.action import Action, Asked, Plan, Refused
from console_service.web.databases import ask, change, names
from console_service.web.page import page
from console_service.web.paging import ROWS, after, rows
from outbox_relay.operations.dead_letters import groups, pages
from outbox_relay.operations.dead_letters.dead_letters import Choice
from outbox_relay.operations.dead_letters.groups import Group
from outbox_relay.operations.dead_letters.pages import Cursor, Wanted
from outbox_relay.operations.redrives import collecting, jobs

FILTERS: Final = ("kind", "reason_class", "event_type", "topic", "key")
NO_TYPE: Final = "-"  # of an address: of records that name no event type
MANY: Final = 1_000_000


@page("console/failures.html", "Failures")
def show(request: HttpRequest) -> Mapping[str, Any]:
    """Show the groups of every service, or of one; where one of its groups is chosen, its dead letters."""
    service = request.GET.get("service", "")
    chosen = [service] if service in names() else None
    wanted = wanted_of(request.GET)
    filtered = bool(chosen) and any(one is not None for one in wanted)
    # A page of one group must not count all of them at each refresh.
    found = {} if filtered else ask(request, groups.read, chosen)
    shown: dict[str, Any] = {
        "groups": sorted(
            ((one, _link(one)) for several in found.values() for one in several), key=lambda pair: -pair[0].letters
        ),
        "services": names(),
        "service": service,
        "wanted": wanted._asdict() | ({"event_type": NO_TYPE} if wanted.event_type == "" else {}),
        "filtered": filtered,
        "now": datetime.now(tz=UTC).isoformat(),
    }
    if filtered:
        cursor = _cursor(after(request))
        listed = ask(request, lambda name, open_: pages.read(name, open_, wanted, ROWS + 1, cursor), chosen)
        shown["rows"] = rows(request, listed.get(service, []), lambda one: (one.dead_lettered_at, one.row_id))
    return shown


def wanted_of(fields: QueryDict) -> Wanted:
    """Return which dead letters the address, or a form, means."""
    given = {name: fields.get(name) or None for name in FILTERS}
    return Wanted(**given | {"event_type": "" if given["event_type"] == NO_TYPE else given["event_type"]})


def _link(group: Group) -> str:
    meant = {"service": group.service, "kind": group.kind, "reason_class": group.reason_class}
    return f"{reverse('failures')}?{urlencode(meant | {'event_type': group.event_type or NO_TYPE})}"


def _cursor(given: list[Any] | None) -> Cursor | None:
    try:
        at, row_id = given or ["", ""]
        return Cursor(datetime.fromisoformat(at), UUID(row_id))
    except (ValueError, TypeError):
        return None


def _choice(asked: Asked) -> tuple[str, Choice, int | None]:
    service = asked.fields.get("service", "")
    if service not in names():
        raise Refused("say of which service")
    until = asked.fields.get("until", "")
    try:
        moment = datetime.fromisoformat(until)
        rate = int(asked.fields.get("rate") or 0)
    except ValueError:
        raise Refused("a rate is a whole number of dead letters a second") from None
    if not 0 <= rate <= MANY:
        raise Refused(f"a rate is between 1 and {MANY} a second, or empty for no limit")
    return service, wanted_of(asked.fields).choice._replace(until=moment.astimezone(UTC)), rate or None


def _plan(asked: Asked) -> Plan:
    service, choice, rate = _choice(asked)
    found = change(service, lambda _, open_: collecting.plan(open_, choice, jobs.SECONDS))
    if found.whole and not found.total:
        raise Refused("no dead letter would be redriven: they are gone, or would overtake an earlier one of their key")
    stays = f"; {found.stays} more would overtake an earlier one of their key, and stay" if found.stays else ""
    more = "" if found.whole else " These were counted in a second; there are more, which are found as it begins."
    return Plan(
        f"{found.messages} messages of {service} are handled again and {found.publications} publications are sent, "
        f"{f'{rate} a second' if rate else 'as fast as they can be'}{stays}.{more}",
        warning="What they lead to happens now: a message that asks for a charge, a refund or a mail leads to it. The "
        "services drop what they have had, and the provider knows a charge that was made.",
        bound=[service, choice.filters, list(choice.kinds), rate],
    )


def _execute(asked: Asked) -> str:
    service, choice, rate = _choice(asked)
    job = change(service, lambda name, open_: jobs.make(name, open_, choice, rate, asked.by, asked.reason))
    if job is None:
        raise Refused("nothing is left to redrive: somebody else was quicker")
    commands.redrive(job.id, asked.by, asked.reason)
    more = " or more" if job.collected_to else ""
    return f"Redrive {job.id} of {job.total}{more} dead letters has begun"


redrive = Action("redrive", back="redrives", plan=_plan, execute=_execute)

"""One dead letter: headers, payload, reason, traceback, and what waits in its key."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from django.http import Http404, HttpRequest

from console_service.web.access import Role, viewer_of
from console_service.web.databases import ask, names
from console_service.web.page import page
from console_service.web.record import record
from outbox_relay.operations.dead_letters import letter
from outbox_relay.operations.dead_letters.masking import Mask

SHOWN: Final = "personal"  # of the address: personal fields are asked for


@page("console/message.html", "Dead letter")
def show(request: HttpRequest, service: str, row_id: UUID) -> Mapping[str, Any]:
    """Show it: without the role `payload` everything but ids is masked, with it what is personal, unless asked."""
    if service not in names():
        raise Http404(f"no service {service}")
    viewer = viewer_of(request)
    mask = Mask.PERSONAL if viewer.may(Role.PAYLOAD) else Mask.ALL
    if SHOWN in request.GET:
        viewer.require(Role.PAYLOAD)
        mask = Mask.NOTHING
    found = ask(request, lambda name, open_: letter.read(name, open_, row_id, mask), [service])
    told = found.get(service)
    if found and told is None:
        raise Http404("it is no dead letter any more: it was handled, sent or discarded")
    if told is not None and mask is not Mask.ALL and not getattr(request, "htmx", False):
        what = {"service": service, "dead letter": str(row_id), "personal": mask is Mask.NOTHING}
        record(viewer.subject, "console payload", "a look at what it says", what)
    shown = {"letter": told, "service": service, "parent": "failures", "mask": mask.value, "row_id": row_id}
    return shown | {"now": datetime.now(tz=UTC).isoformat()}

"""Audit: who did what, when and why, over all services and the console itself."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import psycopg
from django.db import connection
from django.http import HttpRequest

from console_service.web import paging
from console_service.web.databases import ask, names
from console_service.web.page import page
from outbox_relay.operations import audit_trail
from outbox_relay.operations.audit_trail import Action

OWN: Final = "console"


@page("console/audit.html", "Audit")
def show(request: HttpRequest) -> Mapping[str, Any]:
    """List the newest first."""
    chosen = request.GET.get("service", "")
    operator = request.GET.get("operator", "").strip() or None
    verb = request.GET.get("verb", "").strip() or None
    before = _cursor(request)

    def question(service: str, open_: psycopg.Connection) -> list[Action]:
        return audit_trail.read(service, open_, limit=paging.ROWS + 1, before=before, operator=operator, verb=verb)

    asked = [one for one in names() if chosen in {"", one}]
    found = [one for listed in ask(request, question, asked).values() for one in listed]
    if chosen in {"", OWN}:
        connection.ensure_connection()
        found += question(OWN, connection.connection)
    found.sort(key=lambda one: (one.acted_at, one.id), reverse=True)
    rows = paging.rows(request, found[: paging.ROWS + 1], lambda one: (one.acted_at.isoformat(), one.id))
    return {"rows": rows, "services": [*names(), OWN], "given": request.GET, "polled": before is None}


def _cursor(request: HttpRequest) -> tuple[datetime, int] | None:
    match paging.after(request):
        case [str(at), int(row_id)]:
            try:
                return datetime.fromisoformat(at), row_id
            except ValueError:
                return None
        case _:
            return None

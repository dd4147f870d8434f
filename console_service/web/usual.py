"""How long a step usually takes, as `outbox doctor` measures it; asked anew now and then, not for each page."""

import time
from datetime import datetime
from typing import Final, NamedTuple

from django.db.models import Q
from django.http import HttpRequest

from console_service.models import OPEN_STATUSES
from console_service.web.databases import ask
from outbox_relay.databases import short_name
from outbox_relay.operations.sagas import usual
from outbox_relay.operations.sagas.project import of_project
from outbox_relay.operations.sagas.usual import Usual

KEPT_SECONDS: Final = 30.0


class _Kept(NamedTuple):
    usual: Usual
    until: float


_kept: list[_Kept] = []


def usual_times(request: HttpRequest) -> Usual:
    """Return what is usual; what is fixed where the project names no saga, or its database does not answer."""
    if _kept and time.monotonic() < _kept[-1].until:
        return _kept[-1].usual
    saga = of_project()
    if saga is None:
        return Usual()
    own = short_name(saga.own.service)
    found = ask(request, lambda _, open_: usual.read(saga, open_), [own])
    if own not in found:
        return Usual()
    _kept[:] = [_Kept(found[own], time.monotonic() + KEPT_SECONDS)]
    return found[own]


def late(times: Usual, now: datetime) -> Q:
    """Return what holds for orders that have been in their step for longer than is usual."""
    one_of = Q()
    for step in OPEN_STATUSES:
        one_of |= Q(status=step, step_since__lt=now - times.of(step))
    return Q(step_since__lt=now - times.shortest(OPEN_STATUSES)) & one_of  # the first of them is the index's


def forget() -> None:
    """Ask anew with the next page; for tests."""
    _kept.clear()

"""Overview: is anything wrong, since when, and where to look."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from django.db import connection
from django.http import HttpRequest

from console_service.models import OPEN, OrderRow
from console_service.web import diagnosis
from console_service.web.databases import ask
from console_service.web.page import page
from console_service.web.usual import late, usual_times
from outbox_relay.operations import positions
from outbox_relay.operations.diagnosis.finding import Problem
from outbox_relay.operations.positions import Position
from outbox_relay.operations.status import Status, read_status

SECONDS: Final = re.compile(r" for \d+ s\b|; last one \d+ s ago|; the oldest was written \d+ s ago")
SCREEN_OF: Final = {
    Problem.ATTENTION: "attention",
    Problem.PUBLICATIONS_REFUSED: "failures",
    Problem.DEAD_LETTERS: "failures",
    Problem.TASKS_FAILING: "tasks",
    Problem.TASKS_LATE: "tasks",
    Problem.RECORDS_MISSING: "replays",
    Problem.REPLAY_STOPPED: "replays",
    Problem.COPY_BEHIND: "topics",
    Problem.CONSUMER_BEHIND: "topics",
    Problem.SAGAS_WAIT: "orders",
}
COUNTED: Final = 10_000  # of a number that says "many"

# The console reads every topic: how far it is, is the newest that is known here.
NEWEST: Final = 'SELECT topic, "partition", next_offset FROM waybill_consumer_position'


@dataclass(frozen=True, slots=True)
class Lag:
    """What one group has not read of a topic: records, and since when it lags."""

    service: str
    topic: str
    records: int
    since: datetime | None


@page("console/overview.html", "Overview")
def show(request: HttpRequest) -> Mapping[str, Any]:
    """Show each service's outbox and programs, and the figures over all of them."""
    statuses = ask(request, read_status)
    read = ask(request, positions.read)
    now = datetime.now(tz=UTC)
    found = list(statuses.values())
    open_orders = OrderRow.objects.filter(OPEN)
    oldest = [one.oldest_seconds for one in found if one.oldest_seconds is not None]
    return {
        "wrong": _wrong(),
        "services": [_Service(one, now) for one in found],
        "unpublished": sum(one.unpublished for one in found),
        "oldest": _rounded(now - timedelta(seconds=max(oldest))) if oldest else None,
        "dead_letters": sum(one.dead_letter_messages + one.dead_letter_publications for one in found),
        "attention": sum(one.attention for one in found),
        "open": open_orders[:COUNTED].count(),
        "late": open_orders.filter(late(usual_times(request), now))[:COUNTED].count(),
        "counted": COUNTED,
        "lags": _lags(read),
    }


def _wrong() -> list[dict[str, Any]] | None:
    """Return what the doctor says, each with the screen that shows more; None where it has not answered."""
    findings = diagnosis.of_console().latest().findings
    if findings is None:
        return None
    return [
        {
            "problem": one.problem,
            "service": one.service,
            "says": SECONDS.sub("", one.says),
            "since": one.since and _rounded(one.since),
            "count": one.count,
            "next": one.next,
            "screen": SCREEN_OF.get(one.problem, "relays"),
            "runbook": one.runbook,
        }
        for one in findings
    ]


@dataclass(frozen=True, slots=True)
class _Service:
    """A service's line: its status, and times in place of ages, which would be others at each look."""

    status: Status
    now: datetime

    @property
    def oldest(self) -> datetime | None:
        """Return when the oldest unpublished event was recorded."""
        seconds = self.status.oldest_seconds
        return None if seconds is None else _rounded(self.now - timedelta(seconds=seconds))

    @property
    def programs(self) -> list[dict[str, Any]]:
        """Return what each program does, and since when."""
        return [
            {
                "name": one.program,
                "state": "silent" if one.silent else one.state,
                "bad": one.fault is not None,
                "reason": one.reason or "",
                "since": _rounded(self.now - timedelta(seconds=one.state_seconds)),
            }
            for one in self.status.programs
        ]

    @property
    def faults(self) -> Sequence[str]:
        """Return what is wrong, without the seconds that each look counts anew."""
        return [SECONDS.sub("", fault) for fault in self.status.faults]


def _rounded(at: datetime) -> datetime:
    """Return the nearest ten seconds: an age that came from the database's clock differs a little at each look."""
    return datetime.fromtimestamp(round(at.timestamp(), -1), tz=UTC)


def _lags(read: Mapping[str, Sequence[Position]]) -> list[Lag]:
    with connection.cursor() as cursor:
        cursor.execute(NEWEST)
        newest = {(topic, partition): offset for topic, partition, offset in cursor.fetchall()}
    found: dict[tuple[str, str], Lag] = {}
    for service, known in read.items():
        for one in known:
            behind = newest.get((one.topic, one.partition), 0) - one.next_offset
            if behind <= 0:
                continue
            before = found.get((service, one.topic))
            since = min((at for at in (before and before.since, one.read_until) if at), default=None)
            found[service, one.topic] = Lag(service, one.topic, behind + (before.records if before else 0), since)
    return sorted(found.values(), key=lambda lag: -lag.records)

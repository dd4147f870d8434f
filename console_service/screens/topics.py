"""Topics: how each differs from what is meant, and how far each consumer group is behind."""

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from django.http import HttpRequest

from console_service.web.databases import topology
from console_service.web.page import page
from outbox_relay.operations.topics import state
from outbox_relay.operations.topics.state import TopicState
from outbox_relay.operations.topology import DependencyDown, UsageError
from waybill.contracts.topics import topics

AWAY_SECONDS: Final = 5.0  # in which a broker that was not reached is not asked again: pages are refreshed every two


@dataclass
class _Away:
    why: str = ""
    until: float = 0.0


_away = _Away()


@page("console/topics.html", "Topics")
def show(_request: HttpRequest) -> Mapping[str, Any]:
    """Show every topic of the schemas; the broker may be away."""
    if time.monotonic() < _away.until:
        return {"topics": [], "away": _away.why}
    try:
        found = state.read(topology(), topics())
        return {"topics": [_shown(one, datetime.now(tz=UTC)) for one in found], "away": None}
    except (DependencyDown, UsageError) as error:
        _away.why, _away.until = str(error), time.monotonic() + AWAY_SECONDS
        return {"topics": [], "away": str(error)}


def _shown(topic: TopicState, now: datetime) -> dict[str, Any]:
    groups = [
        {
            "group": one.group,
            "records": one.records,
            "since": now - timedelta(seconds=one.seconds) if one.seconds and one.records else None,
        }
        for one in topic.groups
    ]
    return asdict(topic) | {"groups": groups}

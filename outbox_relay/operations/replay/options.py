"""What an operator asks of a replay: one value from the command line to the job's row and back."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any, Final, Self
from uuid import UUID

import psycopg

from outbox_relay.operations.events import listing
from outbox_relay.operations.events.listing import Filter

CHOSEN: Final = f"{listing.CHOSEN} AND (%(events)s::uuid[] IS NULL OR event_id = ANY(%(events)s::uuid[]))"
TIMES: Final = ("since", "until")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Which events are meant, who they are for, how they are sent, by whom and why.

    `events`: among those of the filter only these ids, where there are any. `to_consumer`: one consumer group, None for
    all. `reprocess`: that group handles again what it has handled. `effects`: what follows may reach people. `rate`:
    events a second at most, None for no limit.
    """

    wanted: Filter
    events: tuple[UUID, ...] = ()
    to_consumer: str | None = None
    reprocess: bool = False
    effects: bool = False
    rate: int | None = None
    by: str
    reason: str

    def values(self) -> dict[str, Any]:
        """Return what CHOSEN asks for."""
        return self.wanted.values() | {"events": list(self.events) or None}

    def narrowed(self, connection: psycopg.Connection) -> Self:
        """Return the same with the positions that its times leave. Raises psycopg.Error."""
        return replace(self, wanted=listing.narrowed(connection, self.wanted))

    def chosen(self) -> dict[str, Any]:
        """Return which events are meant, ready for JSON; positions are the plan's."""
        meant = {name: value for name, value in asdict(self.wanted).items() if value and name not in {"first", "last"}}
        meant |= {name: meant[name].isoformat() for name in TIMES if name in meant}
        if self.events:
            meant["events"] = [*map(str, self.events)]
        return meant | {"effects": self.effects}

    def columns(self) -> dict[str, Any]:
        """Return the columns of the job's row that hold it; `chosen` also holds the plan's part."""
        return {
            "to_consumer": self.to_consumer,
            "reprocess": self.reprocess,
            "rate": self.rate,
            "by": self.by,
            "reason": self.reason,
        }

    @classmethod
    def of_row(cls, row: Mapping[str, Any]) -> Self:
        """Return what `columns` and `chosen` have written."""
        chosen: Mapping[str, Any] = row["chosen"]
        since, until = (datetime.fromisoformat(chosen[name]) if name in chosen else None for name in TIMES)
        # A job of an earlier version names one type.
        types = chosen.get("event_types") or [name for name in [chosen.get("event_type")] if name]
        return cls(
            wanted=Filter(
                aggregate_type=chosen.get("aggregate_type"),
                aggregate_id=chosen.get("aggregate_id"),
                event_types=tuple(types),
                first=row["first"],
                last=row["last"],
                since=since,
                until=until,
            ),
            events=tuple(map(UUID, chosen.get("events", ()))),
            to_consumer=row["to_consumer"],
            reprocess=row["reprocess"],
            effects=chosen["effects"],
            rate=row["rate"],
            by=row["created_by"],
            reason=row["reason"],
        )

"""Records that a topic no longer had when the consumer came to them, and how an operator gets them back. No Django."""

from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

# A transaction that was open for long is published behind events that were recorded after its own.
SLACK: Final = timedelta(hours=1)

# The table `waybill_offset_gap`, for the consumer, its metrics and the `outbox` command alike.
COLUMNS: Final = 'topic, "partition", first_offset, last_offset, read_until, found_at'
# As the partial index has it: neither filled by a replay nor acknowledged.
IS_OPEN: Final = "acknowledged_at IS NULL AND filled_at IS NULL"
OPEN: Final = f"SELECT {COLUMNS} FROM waybill_offset_gap WHERE {IS_OPEN} ORDER BY found_at"  # noqa: S608 - constants


class Gap(NamedTuple):
    """Offsets of a partition that the consumer never saw.

    `last_offset` is None where nobody can know it: the topic was created anew, or its log ends before the first one.
    `read_until` is when the last event before them was recorded, where that is known.
    """

    topic: str
    partition: int
    first_offset: int
    last_offset: int | None
    read_until: datetime | None
    found_at: datetime

    def __str__(self) -> str:
        if self.last_offset is None:
            return f"{self.topic}/{self.partition} from offset {self.first_offset} on, of a log that is no longer there"
        return f"{self.topic}/{self.partition} offsets {self.first_offset} to {self.last_offset}"

    @property
    def since(self) -> datetime | None:
        """Return since when what is missing was recorded; None where nothing is known to be read before."""
        return self.read_until - SLACK if self.read_until else None

    @property
    def until(self) -> datetime:
        """Return until when it was recorded, exclusive, in whole seconds."""
        return self.found_at.replace(microsecond=0) + timedelta(seconds=1)

    def remedy(self, group: str) -> str:
        """Return the command that sends what is missing again, from the outbox that the topic's first word names."""
        since = f"--since {_moment(self.since)} " if self.since else ""
        return (
            f"outbox replay --service {self.topic.partition('.')[0]} {since}--until {_moment(self.until)} "
            f"--to-consumer {group}"
        )


def summary(gaps: list[Gap], group: str) -> str:
    """Return what is missing and what to do, on one line."""
    shown = ", ".join(map(str, gaps[:3])) + (f" and {len(gaps) - 3} more" if gaps[3:] else "")
    return f"records missing: {shown}; send them again: `{gaps[0].remedy(group)}` (runbook: Records are missing)"


def _moment(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"

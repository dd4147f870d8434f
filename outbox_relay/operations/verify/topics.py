"""What the topics show: every record into the ledger, and each key's events in the sequence of their versions."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import groupby

from outbox_relay.operations.topics.topic import TopicRecord
from outbox_relay.operations.verify.faults import Fault, Faults
from outbox_relay.operations.verify.ledger import Entry, Ledger
from waybill.contracts.topics import FOR_EVER, topics


def retained_since(now: datetime) -> Mapping[str, float]:
    """Return topic → the time, in seconds of the epoch, before which it need not have records any more."""
    return {
        one.name: (now - timedelta(days=one.retention_days)).timestamp()
        for one in topics()
        if one.retention_days != FOR_EVER
    }


class Topics:
    """Records as they are read, counted."""

    def __init__(self, ledger: Ledger, faults: Faults) -> None:
        """Start with nothing read."""
        self._ledger, self._faults = ledger, faults
        self.records = self.replayed = self.first_or_copy = 0

    def take(self, records: Collection[TopicRecord]) -> None:
        """Take records, in order within each partition."""
        self.records += len(records)
        self._ledger.follow(records)
        self._ledger.see(self._naming_events(records))

    def _naming_events(self, records: Iterable[TopicRecord]) -> Iterator[TopicRecord]:
        for record in records:
            if record.failure or record.event_id is None:
                self._faults.add(_nameless(record))
            elif not record.replayed:
                self.first_or_copy += 1
                yield record
            else:
                self.replayed += 1
                if record.replay_target is None:
                    yield record


def _nameless(record: TopicRecord) -> Fault:
    reason = record.failure or "a record without an event's id"
    return Fault(
        kind="unreadable" if record.failure else "ghost",
        says=f"key {record.key}: {reason}",
        reason=reason,
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        key=record.key,
    )


def judge_sequence(entries: Iterable[Entry], tell: Callable[[Fault], object]) -> None:
    """Tell what came first after a later version of its key; the entries of a topic and key are next to each other."""
    for _, of_key in groupby(entries, key=lambda entry: (entry.found_in, entry.key)):
        before = 0
        for entry in _as_they_stand(list(of_key)):
            if entry.version <= before:
                says = f"key {entry.key}: version {entry.version} came after {before}"
                tell(Fault(kind="reordered", says=says, after_version=before, **entry.fields()))
            before = max(before, entry.version)


def _as_they_stand(entries: Sequence[Entry]) -> Sequence[Entry]:
    """Return a key's entries as they stand: a topic that has grown has some in a second partition, read any time."""
    if len(entries) == 1:
        return entries
    begins: dict[int | None, int] = {}
    for entry in entries:
        begins[entry.partition] = min(entry.version, begins.get(entry.partition, entry.version))
    return sorted(entries, key=lambda entry: (begins[entry.partition], entry.offset or 0))

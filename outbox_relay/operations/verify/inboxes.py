"""What a service's group has passed, or can no longer read, and its inbox does not have.

A consumer commits its database first and its offset afterwards, so the offset is asked first and the inbox later. What
a topic no longer keeps can only be in the inbox already: a consumer that was away for longer than the topic's retention
has a hole there. An inbox forgets too, and one that began later than an event was never to have it: both bound what is
asked for. What a topic should still keep and has not is lost, which is no inbox's fault.
"""

from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

import psycopg

from outbox_relay.operations import decisions
from outbox_relay.operations.reactions import Reactions
from outbox_relay.operations.topics import topic
from outbox_relay.operations.verify.faults import Fault, Faults
from outbox_relay.operations.verify.ledger import Entry, Ledger
from outbox_relay.operations.verify.topics import retained_since

# A message is remembered for as long as the row that is kept shortest.
RETENTION: Final = "SELECT min(expires_at - added) FROM received WHERE status <> -1"
# Events from before the first row were never to be received by this inbox.
BEGINS: Final = "SELECT min(added) FROM received"
# By the unique index on msg_id.
LACKING: Final = """
SELECT event_id FROM unnest(%s::text[]) AS wanted (event_id)
WHERE NOT EXISTS (SELECT FROM received WHERE msg_id = %s || event_id)
"""


class Inbox(NamedTuple):
    """What one service's inbox is asked for: which types, up to which offsets, and since when (seconds of the epoch).

    `kept` is since when each topic must have its records.
    """

    service: str
    group: str
    types: Collection[str]
    offsets: Mapping[topic.Partition, int]
    remembered_since: float
    begins: float
    kept: Mapping[str, float]
    skipped: Collection[decisions.SkippedRecord] = ()

    def must_have(self, entry: Entry) -> bool:
        """Say whether the inbox must have the event now."""
        if entry.recorded <= self.remembered_since:
            return False
        if entry.offset is None:
            return entry.passed and entry.recorded > self.begins and not entry.is_retained(self.kept)
        record = (entry.found_in, entry.partition, entry.offset, entry.event_id)
        return entry.offset < self.committed(entry) and record not in self.skipped

    def committed(self, entry: Entry) -> int:
        """Return the offset that the group has committed where the event stands, 0 for none."""
        return self.offsets.get((entry.found_in or "", entry.partition or 0), 0)


def open_inbox(
    service: str,
    group: str,
    connection: psycopg.Connection,
    reactions: Reactions,
    offsets: Mapping[topic.Partition, int],
) -> Inbox:
    """Return what the inbox must have, given the offsets that its group committed before. Raises psycopg.Error."""
    now = datetime.now(UTC)
    retention: timedelta | None
    (retention,) = connection.execute(RETENTION).fetchone() or (None,)
    (begins,) = connection.execute(BEGINS).fetchone() or (None,)
    remembered_since = (now - retention).timestamp() if retention else float("-inf")
    began = begins.timestamp() if begins else float("inf")
    return Inbox(
        service,
        group,
        reactions.types,
        offsets,
        remembered_since,
        began,
        retained_since(now),
        decisions.skipped(connection),
    )


def judge(connection: psycopg.Connection, inbox: Inbox, ledger: Ledger, faults: Faults) -> dict[str, int]:
    """Tell what is not there; returns, by service that wrote it, the first position still to be received.

    Raises psycopg.Error.
    """
    pending: dict[str, int] = {}
    for entries in ledger.of_types(sorted(inbox.types)):
        wanted = [entry for entry in entries if inbox.must_have(entry)]
        lacking = _lacking(connection, inbox.group, wanted)
        for entry in wanted:
            if entry.event_id in lacking:
                faults.add(_fault(inbox, entry))
        for entry in entries:
            if entry.offset is not None and entry.offset >= inbox.committed(entry):
                assert entry.service is not None
                assert entry.position is not None
                pending[entry.service] = min(entry.position, pending.get(entry.service, entry.position))
    return pending


def _lacking(connection: psycopg.Connection, group: str, wanted: Iterable[Entry]) -> set[str]:
    ids = [entry.event_id for entry in wanted]
    values = (ids, f"{group}:")
    return {event_id for (event_id,) in connection.execute(LACKING, values)} if ids else set()


def _fault(inbox: Inbox, entry: Entry) -> Fault:
    group = inbox.group
    why = "its topic no longer has it" if entry.offset is None else f"group {group} has passed it"
    replay = f"outbox replay --service {entry.service} --event {entry.event_id} --to-consumer {group}"
    fields: dict[str, Any] = entry.fields() | {"service": inbox.service}
    return Fault(
        kind="not received",
        says=f"{entry.event_type} key {entry.key} version {entry.version}: not in the inbox, and {why}",
        **fields,
        remedy=f"{replay} --with-effects --execute --reason '…'",
    )

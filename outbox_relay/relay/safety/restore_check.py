"""Whether the service's topics have records whose events its outbox does not have, asked each time a relay leads.

A database that was restored in place to an earlier state looks like itself: same system identifier, and a checkpoint
that came back together with its outbox. Only the topics know better: they have records of events that are gone. So do
they after a crash with synchronous_commit=off, and after the promotion of a standby that had not received everything.

Model. The topics are read first, the outbox after them. A relay sends nothing but what is committed, so whatever stands
on a topic by then has its row, however busy the service is. What was published last before the restore is at the end of
its partition; the last DEPTH offsets of each are read, foreign sources and replays left out. That finds the restore
and not every record: `outbox verify` reads all of them, and compares the same way.

The check runs on a thread and a session of its own and delays nobody. While the broker or the database is away it is
tried again. What it has found is asked for again, until each record is acknowledged by an operator.

Rejected: reading before the first event is published (a slow broker would delay it); a time-out after which nothing is
looked for any more (the broker may be away for longer, and nobody would hear of the restore).
"""

from collections.abc import Callable, Mapping, Sequence
from threading import Event, Lock, Thread
from types import TracebackType
from typing import Any, Final, Self

import psycopg
import structlog

from outbox_relay.operations.topics import topic
from outbox_relay.operations.topics.topic import TopicRecord
from outbox_relay.operations.topology import DependencyDown
from outbox_relay.relay.kafka.records import published_as, source_of
from outbox_relay.relay.program.exposure import topics_of
from outbox_relay.relay.safety.positions import PositionsUnsafe, refuse_standby
from outbox_relay.settings import Outbox
from waybill.database import postgres_client
from waybill.observability import metrics

log: Any = structlog.get_logger()

Question = Callable[[psycopg.Connection], list[TopicRecord]]

DEPTH: Final = 1_000  # offsets of each partition: enough to notice a restore, little enough to read at every take-over
READ_SECONDS: Final = 30.0  # for one reading of all partitions
RETRY_SECONDS: Final = 2.0  # while the broker or the database does not answer
ASK_AGAIN_SECONDS: Final = 5.0  # until an acknowledgement shows in the metric
SHOWN: Final = 10  # records named in the log line; `outbox verify` lists all
SESSION: Final = {"statement_timeout": "10s", "lock_timeout": "2s"}

# Where a service publishes besides the topics that bear its name: what the checkpoint has passed last, by primary key.
RECENT_TOPICS: Final = """
SELECT DISTINCT topic
FROM (SELECT topic FROM waybill_outbox WHERE position <= (SELECT position FROM waybill_outbox_cursor)
      ORDER BY position DESC LIMIT 100) AS newest
WHERE topic IS NOT NULL
"""

# Probes of the unique index on event_id, and of the decisions' index.
WITHOUT_EVENT: Final = """
SELECT asked.event_id FROM unnest(%s::uuid[]) AS asked (event_id)
WHERE NOT EXISTS (SELECT FROM waybill_outbox WHERE waybill_outbox.event_id = asked.event_id)
  AND NOT EXISTS (SELECT FROM waybill_operator_decision AS decision
                  WHERE decision.event_id = asked.event_id AND decision.kind = 'acknowledged_ghost')
"""


class RestoreCheck:
    """Look on a thread from entering until leaving; neither of the two blocks, even where the broker is silent."""

    def __init__(self, kafka: Mapping[str, str], outbox: Outbox) -> None:
        """Prepare; touches nothing yet."""
        self._kafka, self._outbox = kafka, outbox
        self._program = f"{outbox.service}.relay restore check"
        self._over = Event()
        self._showing = Lock()
        self._log = log.bind(service=outbox.service)

    def __enter__(self) -> Self:
        """Begin to look."""
        Thread(target=self._run, name="restore check", daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Look no longer; whoever leads next looks for itself."""
        self._show(0, last=True)

    def _run(self) -> None:
        found = self._answer(self._look)
        self._show(len(found))
        if found:
            self._tell(found)
        while found and not self._over.wait(ASK_AGAIN_SECONDS):
            asked = found
            found = self._answer(lambda connection: without_event(connection, asked))  # noqa: B023 - called at once
            self._show(len(found))

    def _answer(self, question: Question) -> list[TopicRecord]:
        """Ask until there is an answer; there is none when leadership is over."""
        failing = False
        while not self._over.is_set():
            try:
                with postgres_client.connect(self._outbox.database_url, self._program, SESSION) as connection:
                    refuse_standby(connection)
                    return question(connection)
            except (psycopg.Error, PositionsUnsafe, DependencyDown) as error:
                if not failing:
                    self._log.warning("restore_check_waits", reason=" ".join(str(error).split()))
                failing = True
                self._over.wait(RETRY_SECONDS)
        return []

    def _look(self, connection: psycopg.Connection) -> list[TopicRecord]:
        recent = {name for (name,) in connection.execute(RECENT_TOPICS)}
        topics = recent.union(topics_of(self._outbox.service))
        source = source_of(published_as(connection, self._outbox.service))
        records = topic.tail(self._kafka, sorted(topics), DEPTH, READ_SECONDS)
        own = [record for record in records if record.source == source and not record.replayed]
        found = without_event(connection, own)
        self._log.info("restore_checked", records=len(own), without_event=len(found))
        return found

    def _tell(self, found: Sequence[TopicRecord]) -> None:
        self._log.error(
            "records_without_event",
            count=len(found),
            records=[
                f"{record.topic}/{record.partition}/{record.offset} event {record.event_id}" for record in found[:SHOWN]
            ],
            meaning="the database was restored to an earlier state, or lost commits in a crash: what it had committed "
            "since is gone, and subscribers have it",
            remedy="docs/runbook.md, A database was restored: outbox verify --full, then outbox acknowledge, then "
            "outbox replay --to-consumer for what the service had received since",
        )

    def _show(self, count: int, *, last: bool = False) -> None:
        with self._showing:  # an answer that comes too late must not undo the last word
            if not self._over.is_set():
                metrics.put("outbox_records_without_event", count, service=self._outbox.service)
            if last:
                self._over.set()


def without_event(connection: psycopg.Connection, records: Sequence[TopicRecord]) -> list[TopicRecord]:
    """Return the records whose event the outbox does not have and nobody has acknowledged. Raises psycopg.Error."""
    ids = [record.event_id for record in records if record.event_id is not None]
    missing = {event_id for (event_id,) in connection.execute(WITHOUT_EVENT, (ids,))}
    return [record for record in records if record.event_id in missing]

"""Replay jobs as they are kept: what was chosen, how far it is, and who may send it.

A job's row is made in one transaction with its audit row, of options and a plan that are fixed by then: the filter, the
first and the last position, and the positions in between that are left out. Whoever sends it holds its lock
(job_lock.py).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal, Self
from uuid import UUID

import psycopg
import uuid_utils
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from outbox_relay.operations import audit, job_lock
from outbox_relay.operations.job_lock import Taken
from outbox_relay.operations.replay.options import Options
from outbox_relay.operations.replay.plan import Plan
from outbox_relay.operations.topology import UsageError

State = Literal["running", "stopped", "abandoned", "done"]
NAME: Final = "outbox replay "  # and the id: what a job is locked by

JOB: Final = f"""
SELECT %(service)s::text AS service, id, chosen, to_consumer, reprocess, rate, first, last, total, sent, position,
       created_by, reason, created_at, updated_at, finished_at, abandoned,
       {job_lock.is_held("'outbox replay ' || waybill_replay_job.id::text")} AS locked
FROM waybill_replay_job
"""  # noqa: S608 - put together from constants
ALL: Final = JOB + "ORDER BY created_at DESC LIMIT %(limit)s"
ONE: Final = JOB + "WHERE id = %(id)s"
MAKE: Final = """
INSERT INTO waybill_replay_job (id, chosen, to_consumer, reprocess, rate, first, last, total, created_by, reason)
VALUES (%(id)s, %(chosen)s, %(to_consumer)s, %(reprocess)s, %(rate)s, %(first)s, %(last)s, %(total)s, %(by)s,
        %(reason)s)
"""
# Refuses to overwrite what another process has made durable meanwhile.
ADVANCE: Final = """
UPDATE waybill_replay_job SET position = %(position)s, sent = sent + %(sent)s, updated_at = clock_timestamp()
WHERE id = %(id)s AND position = %(before)s
"""
FINISH: Final = (
    "UPDATE waybill_replay_job SET finished_at = clock_timestamp(), updated_at = clock_timestamp() WHERE id = %s"
)
ABANDON: Final = """
UPDATE waybill_replay_job SET abandoned = true, finished_at = clock_timestamp(), updated_at = clock_timestamp()
WHERE id = %s
"""
CHANGE_RATE: Final = "UPDATE waybill_replay_job SET rate = %s WHERE id = %s"


@dataclass(frozen=True, slots=True)
class Job:
    """One replay: its options, its plan, and how far it is.

    `topics`: topic → types that are sent. `without`: positions that are left out, as an int8multirange. `position`:
    every chosen event up to here was acknowledged.
    """

    service: str
    id: UUID
    options: Options
    chosen: Mapping[str, Any]
    topics: Mapping[str, Sequence[str]]
    without: str
    first: int
    last: int
    total: int
    sent: int
    position: int
    created_at: datetime
    updated_at: datetime
    finished_at: datetime | None
    abandoned: bool
    locked: bool

    @classmethod
    def of_row(cls, row: dict[str, Any]) -> Self:
        """Return the job that a row of JOB tells of."""
        options = Options.of_row(row)
        own = {name: value for name, value in row.items() if name in cls.__dataclass_fields__}
        return cls(options=options, topics=row["chosen"]["topics"], without=row["chosen"]["without"], **own)

    @property
    def event_types(self) -> set[str]:
        """Return the types that are sent."""
        return {event_type for types in self.topics.values() for event_type in types}

    @property
    def state(self) -> State:
        """Return where it stands: a stopped one waits for `outbox replay --resume`, or `--abandon`."""
        if self.abandoned:
            return "abandoned"
        if self.finished_at is not None:
            return "done"
        return "running" if self.locked else "stopped"

    def shown(self) -> dict[str, Any]:
        """Return everything, ready for JSON."""
        plain = {name: getattr(self, name) for name in ("service", "id")}
        plain |= {name: getattr(self.options, name) for name in ("to_consumer", "reprocess", "rate")}
        plain |= {name: getattr(self, name) for name in ("first", "last", "total", "sent")}
        plain |= {"created_by": self.options.by, "reason": self.options.reason}
        plain |= {name: getattr(self, name) for name in ("created_at", "updated_at", "finished_at")}
        return plain | {"verb": "replay", "state": self.state, "position": self.position, **self.chosen}


def make(service: str, connection: psycopg.Connection, options: Options, plan: Plan) -> Job:
    """Make a job of a plan that sends something, on record. Raises psycopg.Error."""
    job_id = UUID(str(uuid_utils.uuid7()))
    chosen = options.chosen() | {"topics": plan.topics, "without": plan.without}
    columns = options.columns() | plan.bounds | {"total": plan.total}
    with connection.transaction():
        connection.execute(MAKE, columns | {"id": job_id, "chosen": Jsonb(chosen)})
        given = {name: value for name, value in columns.items() if value and name not in {"by", "reason"}}
        audit.record(connection, "replay", options.reason, {"job": str(job_id), **given, **chosen}, options.by)
    made = read(service, connection, job_id)
    assert made is not None
    return made


def newest(service: str, connection: psycopg.Connection, limit: int) -> list[Job]:
    """Return the service's jobs, the newest first. Raises psycopg.Error."""
    with connection.cursor(row_factory=dict_row) as cursor:
        return [*map(Job.of_row, cursor.execute(ALL, {"service": service, "limit": limit}))]


def read(service: str, connection: psycopg.Connection, job_id: UUID) -> Job | None:
    """Return a job as it stands now. Raises psycopg.Error."""
    with connection.cursor(row_factory=dict_row) as cursor:
        row = cursor.execute(ONE, {"service": service, "id": job_id}).fetchone()
    return None if row is None else Job.of_row(row)


def identifier(given: str) -> UUID:
    """Return a job's id. Raises UsageError."""
    try:
        return UUID(given)
    except ValueError:
        raise UsageError(f"{given!r} is no job id: it is a UUID; outbox jobs lists them") from None


def take(connection: psycopg.Connection, job_id: UUID) -> None:
    """Hold the job for as long as the session lives; blocks up to 3 s. Raises Taken or psycopg.Error."""
    if not job_lock.take(connection, f"{NAME}{job_id}"):
        raise Taken(f"job {job_id} is sent by another process; outbox jobs shows how far it is")


def resume(connection: psycopg.Connection, job: Job, rate: int | None, by: str) -> None:
    """Put on record that an operator resumes the job, with another rate if one is given. Raises psycopg.Error."""
    with connection.transaction():
        if rate is not None:
            connection.execute(CHANGE_RATE, (rate, job.id))
        what = {"job": str(job.id), "resumed": True, "position": job.position, "sent": job.sent}
        audit.record(connection, "replay", job.options.reason, what | ({"rate": rate} if rate else {}), by)


def abandon(connection: psycopg.Connection, job: Job, reason: str, by: str) -> None:
    """Give the job up, on record: it can not be resumed, and what was sent stays sent. Raises psycopg.Error."""
    with connection.transaction():
        connection.execute(ABANDON, (job.id,))
        what = {"job": str(job.id), "abandoned": True, "position": job.position, "sent": job.sent, "total": job.total}
        audit.record(connection, "replay", reason, what, by)


def advance(connection: psycopg.Connection, job_id: UUID, before: int, position: int, sent: int) -> None:
    """Make durable that so many more were acknowledged, up to the position. Raises Taken or psycopg.Error."""
    values = {"id": job_id, "before": before, "position": position, "sent": sent}
    if not connection.execute(ADVANCE, values).rowcount:
        raise Taken(f"job {job_id} was moved on, or removed, by somebody else")


def finish(connection: psycopg.Connection, job_id: UUID) -> None:
    """Note that everything was sent. Raises psycopg.Error."""
    connection.execute(FINISH, (job_id,))

"""Redrive jobs as they are kept: what was chosen, how far each is, and what came of every dead letter.

The dead letters of a job are fixed when it is made, a row each (`waybill_redrive_item`), in one transaction with its
audit row; where they are too many for that, the others are found before the first one is tried, up to the moment that
was chosen. What comes of one is noted in the transaction that handles it (waybill/inbox/redrive_results.py), so a job's
counts are true whatever ends its program, and who resumes it begins with what has no outcome yet. Whoever works on it
holds its lock (job_lock.py).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal, Self
from uuid import UUID

import psycopg
import uuid_utils
from psycopg.rows import class_row, dict_row
from psycopg.types.json import Jsonb

from outbox_relay.operations import audit, job_lock
from outbox_relay.operations.dead_letters.dead_letters import Choice
from outbox_relay.operations.job_lock import Taken
from outbox_relay.operations.redrives import collecting
from outbox_relay.operations.redrives.collecting import Place

State = Literal["running", "stopped", "abandoned", "done"]
SECONDS: Final = 1.0  # that a page waits while a job is made
KEPT_DAYS: Final = 30  # what came of each dead letter, once the job has ended; its counts are kept
NAME: Final = "outbox redrive "  # and the id: what a job is locked by

JOB: Final = f"""
SELECT %(service)s::text AS service, id, chosen, rate, total, handled, ignored, failed, behind, gone,
       created_by, reason, created_at, updated_at, finished_at, abandoned,
       {job_lock.is_held("'outbox redrive ' || waybill_redrive_job.id::text")} AS locked
FROM waybill_redrive_job
"""  # noqa: S608 - put together from constants
ALL: Final = JOB + "ORDER BY created_at DESC LIMIT %(limit)s"
ONE: Final = JOB + "WHERE id = %(id)s"
MAKE: Final = """
INSERT INTO waybill_redrive_job (id, chosen, rate, total, created_by, reason)
VALUES (%(id)s, %(chosen)s, %(rate)s, 0, %(by)s, %(why)s)
"""
FORGET: Final = """
DELETE FROM waybill_redrive_item WHERE job_id IN (
    SELECT id FROM waybill_redrive_job WHERE finished_at < clock_timestamp() - make_interval(days => %s))
"""
FINISH: Final = """
UPDATE waybill_redrive_job
SET finished_at = clock_timestamp(), updated_at = clock_timestamp(), abandoned = %(abandoned)s
WHERE id = %(id)s AND finished_at IS NULL
"""
CHANGE_RATE: Final = "UPDATE waybill_redrive_job SET rate = %s WHERE id = %s"
RESULTS: Final = """
SELECT row_id, kind, topic, key, place, event_type, outcome, detail FROM waybill_redrive_item
WHERE job_id = %(id)s AND outcome IS NOT DISTINCT FROM %(outcome)s AND (%(after)s::uuid IS NULL OR row_id > %(after)s)
ORDER BY row_id LIMIT %(limit)s
"""


@dataclass(frozen=True, slots=True)
class Job:
    """One redrive: what was chosen, and what has come of it.

    `handled`: also by the relay, which sent it. `ignored`: handled without an effect. `behind`: stays, because an
    earlier one of its key failed again. `gone`: discarded or redriven by somebody else meanwhile.
    """

    service: str
    id: UUID
    chosen: Mapping[str, Any]
    rate: int | None
    total: int
    handled: int
    ignored: int
    failed: int
    behind: int
    gone: int
    created_by: str
    reason: str
    created_at: datetime
    updated_at: datetime
    finished_at: datetime | None
    abandoned: bool
    locked: bool

    @classmethod
    def of_row(cls, row: dict[str, Any]) -> Self:
        """Return the job that a row of JOB tells of."""
        return cls(**row)

    @property
    def collected_to(self) -> Place | None:
        """Return where the search for its dead letters goes on; None once all are found, and `total` is all."""
        place = self.chosen.get("collected_to")
        return Place(*place) if place else None

    @property
    def done(self) -> int:
        """Return how many dead letters have an outcome."""
        return self.handled + self.ignored + self.failed + self.behind + self.gone

    @property
    def state(self) -> State:
        """Return where it stands: a stopped one waits for `outbox redrive --resume`, or `--abandon`."""
        if self.abandoned:
            return "abandoned"
        if self.finished_at is not None:
            return "done"
        return "running" if self.locked else "stopped"

    def shown(self) -> dict[str, Any]:
        """Return everything, ready for JSON."""
        hidden = {"locked", "abandoned", "chosen"}
        plain = {name: getattr(self, name) for name in self.__slots__ if name not in hidden}
        return plain | {"verb": "redrive", "state": self.state, "done": self.done, **self.chosen}


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one dead letter of a job: `outcome` is None until it was tried, `detail` says why."""

    row_id: UUID
    kind: str
    topic: str
    key: str
    place: str
    event_type: str | None
    outcome: str | None
    detail: str | None


def make(
    service: str, connection: psycopg.Connection, choice: Choice, rate: int | None, by: str, reason: str
) -> Job | None:
    """Make a job of what is chosen, on record; None where that is nothing. Raises psycopg.Error.

    Returns after about a second: what was not found by then is found by who works on the job.
    """
    job_id = UUID(str(uuid_utils.uuid7()))
    chosen = {"kinds": list(choice.kinds), **choice.filters}
    values = {"id": job_id, "chosen": Jsonb(chosen), "rate": rate, "by": by, "why": reason}
    with connection.transaction():
        connection.execute(FORGET, (KEPT_DAYS,))
        connection.execute(MAKE, values)
        found = collecting.collect(connection, job_id, choice, seconds=SECONDS)
        if found.whole and not found.publications + found.messages:
            raise psycopg.Rollback
        what = {"job": str(job_id), "publications": found.publications, "messages": found.messages, **choice.filters}
        more = {"rate": rate} if rate else {}
        audit.record(connection, "redrive", reason, what | more | ({} if found.whole else {"or more": True}), by)
    return read(service, connection, job_id)


def newest(service: str, connection: psycopg.Connection, limit: int) -> list[Job]:
    """Return the service's jobs, the newest first. Raises psycopg.Error."""
    with connection.cursor(row_factory=dict_row) as cursor:
        return [*map(Job.of_row, cursor.execute(ALL, {"service": service, "limit": limit}))]


def read(service: str, connection: psycopg.Connection, job_id: UUID) -> Job | None:
    """Return a job as it stands now. Raises psycopg.Error."""
    with connection.cursor(row_factory=dict_row) as cursor:
        row = cursor.execute(ONE, {"service": service, "id": job_id}).fetchone()
    return None if row is None else Job.of_row(row)


def results(
    connection: psycopg.Connection, job_id: UUID, outcome: str | None, limit: int, *, after: UUID | None = None
) -> list[Result]:
    """Return the dead letters of a job with one outcome, page by page; None: not tried yet. Raises psycopg.Error."""
    values = {"id": job_id, "outcome": outcome, "after": after, "limit": limit}
    with connection.cursor(row_factory=class_row(Result)) as cursor:
        return cursor.execute(RESULTS, values, prepare=False).fetchall()


def take(connection: psycopg.Connection, job_id: UUID) -> None:
    """Hold the job for as long as the session lives; blocks up to 3 s. Raises Taken or psycopg.Error."""
    if not job_lock.take(connection, f"{NAME}{job_id}"):
        raise Taken(f"job {job_id} is being redriven by another process; outbox jobs shows how far it is")


def resume(connection: psycopg.Connection, job: Job, rate: int | None, by: str, reason: str) -> None:
    """Put on record that an operator resumes the job, with another rate if one is given. Raises psycopg.Error."""
    with connection.transaction():
        if rate is not None:
            connection.execute(CHANGE_RATE, (rate, job.id))
        what = {"job": str(job.id), "resumed": True, "done": job.done, "total": job.total}
        audit.record(connection, "redrive", reason, what | ({"rate": rate} if rate else {}), by)


def abandon(connection: psycopg.Connection, job: Job, by: str, reason: str) -> bool:
    """Give the job up, on record; False where it has ended already. Raises psycopg.Error.

    What has an outcome keeps it, the others stay dead letters. A process that works on it stops within a second, or
    with its next dead letter.
    """
    with connection.transaction():
        if not connection.execute(FINISH, {"id": job.id, "abandoned": True}).rowcount:
            return False
        what = {"job": str(job.id), "abandoned": True, "done": job.done, "total": job.total}
        audit.record(connection, "redrive", reason, what, by)
    return True


def finish(connection: psycopg.Connection, job_id: UUID) -> None:
    """Note that every dead letter has an outcome. Raises psycopg.Error."""
    connection.execute(FINISH, {"id": job_id, "abandoned": False})

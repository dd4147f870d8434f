"""A redrive job at work: messages through the service's own program, publications through the relay that leads.

Messages are tried one after the other, at most so many a second; their program notes what comes of each in the
transaction that handles it. Publications are released whole keys at a time, as many as the rate allows for a second,
and each lot is awaited: the relay sends it in sequence and says of each whether it was sent, or refused again.

Told to stop, or abandoned, the job ends between two dead letters. A process that was killed leaves it stopped, and at
most one message under way, which its own program ends or rolls back.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple
from uuid import UUID

import psycopg

from outbox_relay.operations.dead_letters.dead_letters import Choice
from outbox_relay.operations.redrives import collecting, jobs
from outbox_relay.operations.redrives.jobs import Job
from outbox_relay.operations.service_programs import run as run_program
from outbox_relay.operations.service_programs import unexpected
from outbox_relay.operations.topology import DependencyDown, Topology, UsageError, session
from waybill.database.sqlstate import one_line
from waybill.runtime.reports import MessageRedriven, RedriveRequest, Report

POLL_SECONDS: Final = 0.25  # the relay sees a release with its next heartbeat, a second later at most
LOOK_SECONDS: Final = 1.0  # between two looks at whether the job was abandoned

UNTRIED: Final = """
SELECT row_id, coalesce(ordering_key, row_id::text) FROM waybill_redrive_item AS item
LEFT JOIN waybill_dead_letter USING (row_id)
WHERE job_id = %(id)s AND item.kind = %(kind)s AND outcome IS NULL AND released_at IS NULL ORDER BY 2, 1
"""
# -1, 1 and 2 are django_outbox_pattern's StatusChoice.FAILED, SCHEDULE and SUCCEEDED.
RELEASE: Final = """
WITH letters AS (SELECT id FROM published WHERE id = ANY(%(rows)s) AND status = -1 ORDER BY id FOR UPDATE),
scheduled AS (UPDATE published SET status = 1 FROM letters WHERE published.id = letters.id)
UPDATE waybill_redrive_item SET released_at = statement_timestamp()
WHERE job_id = %(id)s AND row_id IN (SELECT id FROM letters)
"""
# What was released and is no longer on its way; and of `rows` what is no dead letter any more.
SETTLE: Final = """
WITH ended AS (
    SELECT item.row_id,
           CASE WHEN released_at IS NULL OR published.id IS NULL THEN 'gone' WHEN status = 2 THEN 'handled'
                WHEN published.headers->>'reason' = 'behind' THEN 'behind' ELSE 'failed' END AS outcome,
           CASE WHEN status = -1 THEN (published.headers->>'reason') || ': ' || (published.headers->>'detail') END
               AS detail
    FROM waybill_redrive_item AS item LEFT JOIN published ON published.id = item.row_id
    WHERE job_id = %(id)s AND outcome IS NULL
    AND CASE WHEN released_at IS NOT NULL THEN status IS DISTINCT FROM 1
             ELSE item.row_id = ANY(%(rows)s)
                  AND NOT EXISTS (SELECT FROM waybill_dead_letter AS letter
                                  WHERE letter.row_id = item.row_id AND reason_class <> 'redriven') END
), noted AS (
    UPDATE waybill_redrive_item AS item SET outcome = ended.outcome, detail = ended.detail FROM ended
    WHERE item.job_id = %(id)s AND item.row_id = ended.row_id AND item.outcome IS NULL RETURNING item.outcome
), counted AS (
    SELECT count(*) FILTER (WHERE outcome = 'handled') AS handled, count(*) FILTER (WHERE outcome = 'failed') AS failed,
           count(*) FILTER (WHERE outcome = 'behind') AS behind, count(*) FILTER (WHERE outcome = 'gone') AS gone
    FROM noted
)
UPDATE waybill_redrive_job AS job
SET handled = job.handled + counted.handled, failed = job.failed + counted.failed, behind = job.behind + counted.behind,
    gone = job.gone + counted.gone, updated_at = clock_timestamp()
FROM counted WHERE job.id = %(id)s
"""
ON_THEIR_WAY: Final = """
SELECT count(*) FROM waybill_redrive_item WHERE job_id = %s AND released_at IS NOT NULL AND outcome IS NULL
"""


class Resumption(NamedTuple):
    """Who resumes a job, why, and at which other rate, if one is given."""

    rate: int | None
    by: str
    reason: str


class _Stopped(Exception):
    """Somebody asked to stop, or gave the job up."""


def run(
    topology: Topology,
    job: Job,
    stop_requested: Callable[[], bool],
    progress: Callable[[int, int], object],
    resumption: Resumption | None = None,
) -> Job:
    """Work on a job until all is tried or it is told to stop, and return it as it stands then; blocks.

    `progress` is told how many have an outcome, and of how many. Raises UsageError, DependencyDown; whatever is raised,
    what has an outcome is noted.
    """
    try:
        with session(topology.databases[job.service]) as connection:
            jobs.take(connection, job.id)
            if resumption:
                jobs.resume(connection, job, resumption.rate, resumption.by, resumption.reason)
            return _Running(topology, connection, job, stop_requested, progress).run()
    except jobs.Taken as error:
        raise UsageError(str(error)) from None
    except psycopg.Error as error:
        raise DependencyDown(f"database {job.service}: {one_line(error)}") from None


class _Running:
    """One job in the hands of this process."""

    def __init__(
        self,
        topology: Topology,
        connection: psycopg.Connection,
        job: Job,
        stop_requested: Callable[[], bool],
        progress: Callable[[int, int], object],
    ) -> None:
        self._topology, self._connection, self._stop_requested = topology, connection, stop_requested
        self._progress = progress
        self._looked_at = 0.0
        self._job = self._read(job)

    def run(self) -> Job:
        try:
            self._look()
            self._collect()
            self._messages()
            self._publications()
            jobs.finish(self._connection, self._job.id)
        except _Stopped:
            pass
        return self._read(self._job)

    def _read(self, job: Job) -> Job:
        found = jobs.read(job.service, self._connection, job.id)
        if found is None:
            raise jobs.Taken(f"job {job.id} was removed by somebody else")
        return found

    def _look(self) -> None:
        """Tell how far it is, and stop where that was asked for."""
        if self._stop_requested():
            raise _Stopped
        if time.monotonic() - self._looked_at < LOOK_SECONDS:
            return
        self._looked_at = time.monotonic()
        self._job = self._read(self._job)
        self._progress(self._job.done, self._job.total)
        if self._job.finished_at is not None:
            raise _Stopped

    def _collect(self) -> None:
        """Find what is left of the dead letters, a second at a time."""
        while (place := self._job.collected_to) is not None:
            choice = Choice.of_filters(self._job.chosen, self._job.chosen["kinds"])
            collecting.collect(self._connection, self._job.id, choice, place, LOOK_SECONDS)
            self._job = self._read(self._job)
            self._look()

    def _untried(self, kind: str) -> list[tuple[UUID, str]]:
        return self._connection.execute(UNTRIED, {"id": self._job.id, "kind": kind}).fetchall()

    def _settle(self, rows: Sequence[UUID] = ()) -> None:
        self._connection.execute(SETTLE, {"id": self._job.id, "rows": list(rows)}, prepare=False)

    def _messages(self) -> None:
        rows = [row_id for row_id, _ in self._untried("message")]
        if not rows:
            return
        request = RedriveRequest([*map(str, rows)], str(self._job.id), self._job.rate)
        failure = run_program(self._topology, self._job.service, ["redrive", "--only"], self._take, request)
        if self._stop_requested():
            raise _Stopped  # Ctrl-C reaches the program too, which says that it was interrupted
        if failure:
            raise DependencyDown(f"{self._job.service}: {failure}")
        self._settle(rows)
        if left := len(self._untried("message")):
            raise DependencyDown(
                f"{self._job.service}: {left} of these dead letters are unknown to its program: its settings lead to "
                "another database"
            )

    def _take(self, report: Report) -> None:
        if not isinstance(report, MessageRedriven):
            raise unexpected(report)
        self._look()

    def _publications(self) -> None:
        self._settle()  # of what was released before the job was stopped
        self._await_relay()
        untried = self._untried("publication")
        for rows in _lots(untried, self._job.rate or len(untried)):
            begun = time.monotonic()
            self._connection.execute(RELEASE, {"id": self._job.id, "rows": rows})
            self._settle(rows)
            self._await_relay()
            seconds = len(rows) / self._job.rate if self._job.rate else 0.0
            while (left := begun + seconds - time.monotonic()) > 0:
                self._look()
                time.sleep(min(left, POLL_SECONDS))

    def _await_relay(self) -> None:
        """Wait until the relay has sent or refused all that was released, for as long as none leads or it is paused."""
        while True:
            (count,) = self._connection.execute(ON_THEIR_WAY, (self._job.id,)).fetchone() or (0,)
            if not count:
                return
            self._look()
            time.sleep(POLL_SECONDS)
            self._settle()


def _lots(untried: Sequence[tuple[UUID, str]], size: int) -> Iterator[list[UUID]]:
    """Yield rows in lots of about `size`, never a key in two of them."""
    lot: list[UUID] = []
    last = None
    for row_id, key in untried:
        if key != last and len(lot) >= size:
            yield lot
            lot = []
        lot.append(row_id)
        last = key
    if lot:
        yield lot

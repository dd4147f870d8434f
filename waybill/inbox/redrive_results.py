"""What came of each dead letter of a redrive job, noted in the transaction that settles it.

So a job that ends in the middle, however it ends, is resumed with true counts: a message whose handling was committed
is noted, and one whose handling was rolled back is not.
"""

from collections.abc import Callable
from enum import StrEnum
from typing import Final
from uuid import UUID

from django.db import connection


class Outcome(StrEnum):
    """What came of one dead letter; nothing moves it on within the job."""

    HANDLED = "handled"  # handled, or sent by the relay
    IGNORED = "ignored"  # handled without an effect: the decider had nothing to do, or it was received before
    FAILED = "failed"  # read its new reason, fix that, and redrive it again
    BEHIND = "behind"  # an earlier one of its key failed again: it goes with that one
    GONE = "gone"  # nothing: somebody else discarded or redrove it before the job came to it


# A dead letter that is none of the job's, as one that came behind another meanwhile, is not counted.
NOTE: Final = """
WITH noted AS (
    UPDATE waybill_redrive_item SET outcome = %(outcome)s, detail = %(detail)s
    WHERE job_id = %(job)s AND row_id = %(row)s AND outcome IS NULL RETURNING outcome
)
UPDATE waybill_redrive_job AS job
SET handled = handled + (outcome = 'handled')::int, ignored = ignored + (outcome = 'ignored')::int,
    failed = failed + (outcome = 'failed')::int, behind = behind + (outcome = 'behind')::int,
    gone = gone + (outcome = 'gone')::int, updated_at = clock_timestamp()
FROM noted WHERE job.id = %(job)s
"""
Note = Callable[[UUID, Outcome, str | None], object]


def noting(job: UUID | None) -> Note:
    """Return what notes the outcome of a row, and why, in the open transaction; without a job, nothing is noted."""

    def note(row_id: UUID, outcome: Outcome, detail: str | None) -> None:
        if job is not None:
            with connection.cursor() as cursor:
                cursor.execute(NOTE, {"job": job, "row": row_id, "outcome": outcome, "detail": detail})

    return note

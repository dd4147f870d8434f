"""A due task that an operator moves to another time, or cancels: only where the task says that this is safe.

    try it now     any task that an attempt has failed: what an attempt calls must stand being called again
    move it        a deadline that says so (`after(…, movable=True)`): the saga is right whenever it comes
    cancel it      a task that says what is then recorded (`after(…, on_cancel=…)`), so that its aggregate ends all the
                   same; without that it is never cancelled, least of all what moves money

No attempt may be under way: a mail that is being handed over would be sent twice. A claim puts `due_at` off by the
lease and the backoff, so the lease has ended where no more than the backoff is left. The claim's row is locked here, so
a worker that comes meanwhile passes it over.
"""

import json
from datetime import UTC, datetime
from typing import Any, Final

from django.db import connection, transaction

from waybill.consumer import schema_ids
from waybill.database import rows
from waybill.deciders import unit_of_work
from waybill.deciders.outcomes import Code, CommandRefused, Ignored, NotFound, Refused
from waybill.deciders.service import Service, Task, Tried
from waybill.deciders.unit_of_work import Caused
from waybill.observability.telemetry import Cause
from waybill.runtime import wake_up
from waybill.runtime.reports import CancelTaskRequest, RescheduleRequest, TaskRescheduled, TaskSettled
from waybill.runtime.settings import settings
from waybill.tasks.settle import columns, events_of

LARGEST_BACKOFF_SECONDS: Final = 60.0
ROW: Final = """
SELECT task, attempts, due_at, date_part('epoch', due_at - clock_timestamp()), aggregate_type, aggregate_id,
       event_id::text, event_type, schema_version, payload, metadata->>'correlation_id', metadata->>'replay_id'
FROM waybill_due_task JOIN waybill_outbox USING (event_id) WHERE waybill_due_task.id = %s
FOR UPDATE OF waybill_due_task NOWAIT
"""
MOVE: Final = "UPDATE waybill_due_task SET due_at = coalesce(%s, clock_timestamp()) WHERE id = %s RETURNING due_at"
END: Final = "DELETE FROM waybill_due_task WHERE id = %s"
RECORD: Final = "INSERT INTO waybill_operator_action (operator, verb, reason, what) VALUES (%s, %s, %s, %s)"


class Held:
    """A due row, locked until the transaction ends."""

    def __init__(self, service: Service, row_id: int) -> None:
        """Lock the row. Raises CommandRefused where there is none."""
        with connection.cursor() as cursor:
            cursor.execute(ROW, [row_id])
            found = cursor.fetchone()
        if found is None:
            raise CommandRefused(NotFound(Code.NOT_FOUND, f"{service.name} has no due task {row_id}"))
        name, self.attempts, self.due_at, self.left_seconds, self.aggregate_type, self.key, *asked = found
        self.event_id, self._event_type, self._version, self._payload, self.correlation_id, self.replay_id = asked
        self.id = row_id
        self.task = self._task(service, name)

    @property
    def aggregate(self) -> str:
        """Name the aggregate."""
        return f"{self.aggregate_type}/{self.key}"

    def refuse_under_way(self) -> None:
        """Raise CommandRefused where an attempt may be under way."""
        backoff = min(LARGEST_BACKOFF_SECONDS, settings().retry_seconds * 2 ** min(self.attempts - 1, 10))
        if self.attempts and self.left_seconds > backoff and not self.task.long_retries:
            raise _refused(
                f"an attempt of {self.task.name} of {self.aggregate} may be under way; it is made again by itself in "
                f"{self.left_seconds:.0f} s"
            )

    def event(self) -> Any:
        """Return the event that asked for it."""
        return schema_ids.decode(self._event_type, self._version, bytes(self._payload))

    @staticmethod
    def _task(service: Service, name: str) -> Task:
        if name not in service.tasks:
            raise _refused(f"{service.name} has no task {name!r} in this release")
        return service.tasks[name]


def reschedule(service: Service, request: RescheduleRequest) -> TaskRescheduled:
    """Let a task be attempted at another time, or now; or say what that would do. Raises CommandRefused."""
    at = datetime.fromisoformat(request.at) if request.at else None
    with transaction.atomic(), connection.cursor() as cursor:
        held = Held(service, request.id)
        _refuse_move(held, at)
        due_at = at or datetime.now(UTC)
        if request.execute:
            cursor.execute(MOVE, [at, held.id])
            (due_at,) = cursor.fetchone()
            what = {"aggregate": held.aggregate, "task": held.task.name, "was": held.due_at, "due_at": due_at}
            _record(request, "reschedule", what)
            transaction.on_commit(lambda: wake_up.send(settings().worker_wake_up))
    does = (held.task.attempt.__doc__ or "").partition("\n")[0]
    return TaskRescheduled(held.aggregate, held.task.name, does, held.due_at.isoformat(), due_at.isoformat())


def _refuse_move(held: Held, at: datetime | None) -> None:
    if at is not None and at <= datetime.now(UTC):
        raise _refused(f"{at.isoformat()} has passed; leave the time out to have it attempted now")
    waits = not held.attempts and held.left_seconds > 0
    if (at is not None or waits) and not held.task.movable:
        said = "it may be attempted now, and not put off" if not waits else "its time is not to be moved"
        raise _refused(f"{held.task.name} is not declared as movable: {said}")
    held.refuse_under_way()


def cancel(service: Service, request: CancelTaskRequest) -> TaskSettled:
    """End a task by what it says is then recorded; or say what that would do. Raises CommandRefused."""
    with transaction.atomic(), connection.cursor() as cursor:
        held = Held(service, request.id)
        if held.task.on_cancel is None:
            raise _refused(
                f"{held.task.name} is not declared as one that may be cancelled: {held.aggregate} would wait for ever"
            )
        held.refuse_under_way()
        table = service.tables[held.aggregate_type]
        (row,) = rows.load(table, [table._meta.pk.to_python(held.key)], lock=False)  # noqa: SLF001 - Django's documented
        state = service.models.to_state({held.aggregate_type: {row.pk: row}})
        command = held.task.on_cancel(state, held.event(), Tried(held.attempts))
        if command is None:
            raise _refused(f"there is nothing left to cancel of {held.task.name}; its next attempt ends it")
        decision = service.domain.decide(command, state)
        if isinstance(decision, Ignored):
            raise _refused(f"there is nothing left to cancel of {held.task.name}: {decision.reason}")
        if request.execute:
            cause = Cause(
                held.correlation_id or held.event_id,
                causation_id=held.event_id,
                actor=request.by,
                replay_id=held.replay_id,
            )
            (handled,) = unit_of_work.handle(service, [Caused(command, cause)])
            decision = handled.decision
            cursor.execute(END, [held.id])
        events = events_of(decision)
        if request.execute:
            names = [one["type"] for one in events]
            _record(request, "cancel-task", {"aggregate": held.aggregate, "task": held.task.name, "events": names})
    return TaskSettled(held.aggregate, held.task.name, columns(row), events)


def _record(request: RescheduleRequest | CancelTaskRequest, verb: str, what: dict[str, Any]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(RECORD, [request.by, verb, request.reason, json.dumps(what, default=str)])


def _refused(said: str) -> CommandRefused:
    return CommandRefused(Refused(Code.CONFLICT, said))

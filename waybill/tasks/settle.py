"""A due task that no attempt can end is ended by what an operator says of it.

The service's own decider decides, so nothing is settled that is not owed. The events, the rows, the end of the due row
and the operator's record commit together. An attempt that is under way is not called back: what comes of it meets the
settled row, and the decider refuses it where the two contradict each other.
"""
# ruff: noqa: SLF001 - Django's documented _meta

import json
from dataclasses import asdict
from typing import Any, Final

from django.core.exceptions import ValidationError
from django.db import connection, transaction

from waybill.database import rows
from waybill.deciders import unit_of_work
from waybill.deciders.outcomes import Code, CommandRefused, Decision, Ignored, NotFound, Refused
from waybill.deciders.service import Command, Service, Settlement
from waybill.deciders.unit_of_work import Caused
from waybill.observability.telemetry import Cause
from waybill.runtime.reports import SettleRequest, TaskSettled

# By the unique index on aggregate and version.
LAST_EVENT: Final = """
SELECT event_id::text, metadata->>'correlation_id' FROM waybill_outbox
WHERE aggregate_type = %s AND aggregate_id = %s ORDER BY aggregate_version DESC LIMIT 1
"""
END_TASK: Final = """
DELETE FROM waybill_due_task USING waybill_outbox
WHERE waybill_due_task.event_id = waybill_outbox.event_id AND task = %s AND aggregate_type = %s AND aggregate_id = %s
"""
RECORD: Final = "INSERT INTO waybill_operator_action (operator, verb, reason, what) VALUES (%s, 'settle', %s, %s)"


def settle(service: Service, request: SettleRequest) -> TaskSettled:
    """Settle the task of one aggregate, or say what that would do. Raises CommandRefused."""
    if service.settles is None:
        raise CommandRefused(Refused(Code.CONFLICT, f"{service.name} has no task that an operator can settle"))
    task, to_command = service.settles
    table = service.tables[task.event.aggregate_type]
    row = _find(table, request.key)
    state = service.models.to_state({table.aggregate_type: {row.pk: row}})
    command = to_command(state, Settlement(request.reference))
    decision = _execute(service, command, row, request) if request.execute else service.domain.decide(command, state)
    return TaskSettled(_name(row), task.name, columns(row), events_of(decision))


def _find(table: Any, key: str) -> Any:
    try:
        found = rows.load(table, [table._meta.pk.to_python(key)], lock=False)
    except ValidationError as error:
        raise CommandRefused(Refused(Code.NOT_VALID, " ".join(error.messages))) from None
    if not found:
        raise CommandRefused(NotFound(Code.NOT_FOUND, f"there is no {table.aggregate_type} {key}"))
    return found[0]


@unit_of_work.retried
def _execute(service: Service, command: Command, row: Any, request: SettleRequest) -> Decision:
    assert service.settles is not None
    task, _ = service.settles
    place = (row.aggregate_type, str(row.pk))
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(LAST_EVENT, place)
        event_id, correlation_id = cursor.fetchone()
        cause = Cause(correlation_id or event_id, causation_id=event_id, actor=request.by)
        (handled,) = unit_of_work.handle(service, [Caused(command, cause)])
        events = events_of(handled.decision)
        cursor.execute(END_TASK, [task.name, *place])
        what = {
            "aggregate": _name(row),
            "task": task.name,
            "reference": request.reference,
            "events": [one["type"] for one in events],
        }
        cursor.execute(RECORD, [request.by, request.reason, json.dumps(what)])
    return handled.decision


def events_of(decision: Decision) -> list[dict[str, Any]]:
    """Return type and payload of what was decided. Raises CommandRefused where that is nothing."""
    match decision:
        case Refused():
            raise CommandRefused(decision)
        case Ignored(reason=reason):
            raise CommandRefused(Refused(Code.CONFLICT, f"there is nothing to settle: {reason}"))
        case events:
            return [{"type": type(event).__name__, "payload": asdict(event)} for event in events]


def _name(row: Any) -> str:
    return f"{row.aggregate_type}/{row.pk}"


def columns(row: Any) -> dict[str, Any]:
    """Return the row as it stands."""
    return {field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields}

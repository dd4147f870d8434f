"""A due task settled, moved or cancelled by what an operator says of it.

Whether that may be is for the service's own program to decide; it records the change, what follows from it and the
operator's action in one transaction.
"""

from typing import TypeVar

from outbox_relay.operations.service_programs import run, unexpected
from outbox_relay.operations.topology import Topology
from waybill.runtime.reports import (
    CancelTaskRequest,
    ProgramFailed,
    Report,
    RescheduleRequest,
    SettlementRefused,
    SettleRequest,
    TaskRescheduled,
    TaskSettled,
)

Done = TypeVar("Done", TaskSettled, TaskRescheduled)


def settle(topology: Topology, service: str, request: SettleRequest) -> TaskSettled | SettlementRefused | ProgramFailed:
    """Let the service settle a task, or say what that would do. Blocks until it has ended."""
    return _asked(topology, service, "settle", request, TaskSettled)


def reschedule(
    topology: Topology, service: str, request: RescheduleRequest
) -> TaskRescheduled | SettlementRefused | ProgramFailed:
    """Let the service attempt a task at another time, or say what that would do. Blocks until it has ended."""
    return _asked(topology, service, "reschedule", request, TaskRescheduled)


def cancel(
    topology: Topology, service: str, request: CancelTaskRequest
) -> TaskSettled | SettlementRefused | ProgramFailed:
    """Let the service end a task without its attempt, or say what that would do. Blocks until it has ended."""
    return _asked(topology, service, "cancel-task", request, TaskSettled)


def _asked(
    topology: Topology,
    service: str,
    program: str,
    request: SettleRequest | RescheduleRequest | CancelTaskRequest,
    kind: type[Done],
) -> Done | SettlementRefused | ProgramFailed:
    answers: list[Done | SettlementRefused] = []

    def take(report: Report) -> None:
        if not isinstance(report, (kind, SettlementRefused)):
            raise unexpected(report)
        answers.append(report)

    failure = run(topology, service, [program], take, request)
    if failure or not answers:
        return ProgramFailed(failure or f"{program} ended without an answer")
    return answers[-1]

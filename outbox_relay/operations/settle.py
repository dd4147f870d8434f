"""A due task that no attempt can end, ended by what an operator says of it.

Whether there is anything to settle is for the service's own program to decide; it records the events, the end of the
due task and the operator's action in one transaction.
"""

from outbox_relay.operations.service_programs import run, unexpected
from outbox_relay.operations.topology import Topology
from waybill.runtime.reports import ProgramFailed, Report, SettlementRefused, SettleRequest, TaskSettled


def settle(topology: Topology, service: str, request: SettleRequest) -> TaskSettled | SettlementRefused | ProgramFailed:
    """Let the service settle a task, or say what that would do. Blocks until it has ended."""
    answers: list[TaskSettled | SettlementRefused] = []

    def take(report: Report) -> None:
        if not isinstance(report, TaskSettled | SettlementRefused):
            raise unexpected(report)
        answers.append(report)

    failure = run(topology, service, ["settle"], take, request)
    if failure or not answers:
        return ProgramFailed(failure or "settle ended without an answer")
    return answers[-1]

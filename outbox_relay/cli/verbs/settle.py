"""`outbox settle`: end a due task that no attempt can end."""

import argparse
from dataclasses import asdict
from typing import Final

from outbox_relay.cli import screen
from outbox_relay.cli.verb import (
    DONE,
    MISMATCH,
    Given,
    Verb,
    add_execution,
    code_of,
    named_one,
    refuse_silent_execution,
    text,
)
from outbox_relay.operations import settle
from outbox_relay.operations.service_programs import refuse_projects
from outbox_relay.operations.topology import Topology
from waybill.runtime.reports import ProgramFailed, SettlementRefused, SettleRequest, TaskSettled


def _settle(given: Given, topology: Topology) -> int:
    service = named_one(given, topology, "settle is for one key of one service")
    refuse_silent_execution(given)
    refuse_projects(topology, [service], "due tasks")
    request = SettleRequest(given.key, given.paid_elsewhere, given.execute, given.by, given.reason)
    match settle.settle(topology, service, request):
        case ProgramFailed(reason=reason):
            return code_of({}, {service: reason})
        case SettlementRefused(reason=reason):
            screen.tell(f"{reason}; nothing is changed")
            return MISMATCH
        case settled:
            screen.put_json([asdict(settled)]) if given.json else _show(settled)
            _tell(given, settled)
            return DONE


def _show(settled: TaskSettled) -> None:
    screen.put_record(f"{settled.aggregate}, as it stood", settled.row)
    for event in settled.events:
        screen.put_record(event["type"], event["payload"])


def _tell(given: Given, settled: TaskSettled) -> None:
    recorded, task = ", ".join(event["type"] for event in settled.events), settled.task
    if given.execute:
        screen.tell(f"{recorded} recorded; {task} of {settled.aggregate} is settled")
    else:
        screen.tell(
            f"dry run: {recorded} would be recorded, and {task} is no longer due; --execute --reason '…' does it"
        )


def _settle_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("key", metavar="KEY", help="the aggregate's id, as `outbox attention` shows it after the /")
    how = parser.add_mutually_exclusive_group(required=True)
    how.add_argument(
        "--paid-elsewhere",
        type=text,
        metavar="REFERENCE",
        help="it was paid outside the provider, under this reference, which is published: name no person in it",
    )
    how.add_argument("--written-off", action="store_true", help="it is no longer owed, and nothing will be paid")
    add_execution(parser)


VERBS: Final = {
    "settle": Verb(
        _settle,
        "Settle a due task that no attempt can end: what it owed was paid elsewhere, or is written off. Without "
        "--execute, show the row as it stands and what would be recorded.",
        "outbox settle 0198c0de-7000-7000-8000-000000000001 --service payment --paid-elsewhere 'transfer 4711' "
        "--execute --reason 'the card is closed; paid by bank transfer'",
        _settle_arguments,
    ),
}

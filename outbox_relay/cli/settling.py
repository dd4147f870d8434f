"""`outbox settle`: an operator ends what no attempt can end, because it was paid elsewhere or is written off.

Whether there is anything to settle is for the service's own program to decide; it records the events, the end of the
due task and the operator's action in one transaction.
"""

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
    named,
    refuse_silent_execution,
    text,
)
from outbox_relay.operations import service_programs
from outbox_relay.operations.topology import Topology, UsageError
from waybill.runtime.reports import Failed, Refused, SettleRequest, TaskSettled


def _settle(given: Given, topology: Topology) -> int:
    services = named(given, topology)
    if len(services) > 1:
        raise UsageError(f"settle is for one key of one service; given are {', '.join(services)}")
    refuse_silent_execution(given)
    request = SettleRequest(given.key, given.paid_elsewhere, given.execute, given.by, given.reason)
    match service_programs.settle(topology, services[0], request):
        case Failed(reason=reason):
            return code_of({}, {services[0]: reason})
        case Refused(reason=reason):
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


SETTLE: Final = Verb(
    _settle,
    "Settle a due task that no attempt can end: what it owed was paid elsewhere, or is written off. Without --execute, "
    "show the row as it stands and what would be recorded.",
    "outbox settle 0198c0de-7000-7000-8000-000000000001 --service payment --paid-elsewhere 'transfer 4711' --execute "
    "--reason 'the card is closed; paid by bank transfer'",
    _settle_arguments,
)

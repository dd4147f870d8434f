"""`outbox settle`: an operator ends what no attempt can end, because it was paid elsewhere or is written off.

Whether there is anything to settle is for the service's own program to decide; it records the events, the end of the
due task and the operator's action in one transaction.
"""

import argparse
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
from outbox_relay.operations.places import Places, UsageError
from outbox_relay.operations.service_programs import Line


def _settle(given: Given, places: Places) -> int:
    services = named(given, places)
    if len(services) > 1:
        raise UsageError(f"settle is for one key of one service; given are {', '.join(services)}")
    refuse_silent_execution(given)
    asked = {
        "key": given.key,
        "reference": given.paid_elsewhere,
        "execute": given.execute,
        "operator": given.by,
        "reason": given.reason,
    }
    answer, failure = service_programs.settle(places, services[0], asked)
    if failure:
        return code_of({}, {services[0]: failure})
    if "refused" in answer:
        screen.tell(f"{answer['refused']}; nothing is changed")
        return MISMATCH
    if given.json:
        screen.put_json([answer])
    else:
        _show(answer)
    _tell(given, answer)
    return DONE


def _show(answer: Line) -> None:
    screen.put_record(f"{answer['aggregate']}, as it stood", answer["row"])
    for event in answer["events"]:
        screen.put_record(event["type"], event["payload"])


def _tell(given: Given, answer: Line) -> None:
    recorded, task = ", ".join(event["type"] for event in answer["events"]), answer["task"]
    if given.execute:
        screen.tell(f"{recorded} recorded; {task} of {answer['aggregate']} is settled")
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

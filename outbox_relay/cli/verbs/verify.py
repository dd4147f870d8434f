"""`outbox verify`: faults are printed as they are found."""

import argparse
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from outbox_relay.cli import screen
from outbox_relay.cli.verb import MISMATCH, Given, Verb, code_of
from outbox_relay.cli.verbs import partitions, rebuild
from outbox_relay.operations import audit, decisions
from outbox_relay.operations.events import listing
from outbox_relay.operations.topology import DependencyDown, Topology, ask
from outbox_relay.operations.verify import proof
from outbox_relay.operations.verify.faults import Fault, Faults
from waybill.commands.printing import printable

Line = Mapping[str, Any]
FAULT_WIDTHS: Final = {"kind": 12, "service": 12, "place": 32, "says": 60}


def _verify(given: Given, topology: Topology) -> int:
    services = topology.chosen(given.service)
    rebuild.read_checkpoints(given)
    rebuild.read_archive(given)
    faults = Faults(_teller(given), _decided(topology, services))
    try:
        proved = proof.prove(topology, services, _start(given), faults, screen.progress)
    except sqlite3.OperationalError as error:
        raise DependencyDown(f"the file that holds what is compared: {error}; SQLITE_TMPDIR says where it is") from None
    failures = proved.failures
    answered = [service for service in services if service not in failures]
    if not faults.found and not failures and not given.service and given.since is None:
        proof.save_mark(topology, proved, audit.operator())
    if not given.no_rows:
        failures |= rebuild.check(given, topology, answered, lambda difference: faults.add(_row_fault(difference)))
    for service, gone in proved.horizons.items():
        if proved.after[service] < gone.last:
            screen.tell(f"{service}: {partitions.said_of(gone)}; the log was proved from there on")
    for source, count in sorted(proved.foreign.items()):
        screen.tell(f"{count} events on the topics are of {printable(source)}, which is none of these services")
    counts = proved.counts() | faults.counts()
    if given.json:
        screen.put_json([counts | {"after": proved.after, "sources": proved.foreign}])
    else:
        started = {f"{service} after position": after for service, after in proved.after.items() if after}
        screen.put_record("does not match" if faults.found else "verified", counts | started)
    code = code_of(dict.fromkeys(answered), failures)
    return MISMATCH if faults.found else code


def _decided(topology: Topology, services: Sequence[str]) -> Callable[[Fault], bool]:
    answers, _ = ask(topology, services, lambda _, connection: decisions.acknowledged(connection))
    known = decisions.Ghosts.united(answers.values())

    def decided(fault: Fault) -> bool:
        if fault.topic is None or fault.partition is None or fault.offset is None:
            return False
        event_id = UUID(fault.event_id) if fault.event_id else None
        return fault.kind in {"ghost", "unreadable"} and known.has(event_id, fault.topic, fault.partition, fault.offset)

    return decided


def _start(given: Given) -> proof.Start:
    if given.since is not None:
        return _since(given.since)
    return proof.EVERYTHING if given.full else None


def _since(text: str) -> int | datetime:
    """Return a position to start after, or a time; raises UsageError."""
    if not text.isdecimal():
        return listing.moment(text)
    first, _ = listing.positions(text)
    return first - 1


def _teller(given: Given) -> Callable[[Fault], object]:
    show = screen.shower(given, FAULT_WIDTHS)

    def tell(fault: Fault) -> None:
        shown = fault.shown()
        if fault.remedy and not given.json:
            shown["says"] = f"{fault.says}; {fault.remedy}"
        show(shown)

    return tell


def _row_fault(difference: Line) -> Fault:
    return Fault(
        kind="row",
        service=difference["service"],
        aggregate_type=difference["aggregate_type"],
        key=difference["aggregate_id"],
        row=difference["row"],
        fold=difference["fold"],
        says=f"row {difference['row']}, fold {difference['fold']}",
    )


def _verify_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--no-rows", action="store_true", help="leave out the fold of every event")
    rebuild.add_checkpoints(parser)
    start = parser.add_mutually_exclusive_group()
    start.add_argument(
        "--since", metavar="START", help="from a position on, or a time (RFC 3339, or 15m for 15 minutes ago)"
    )
    start.add_argument("--full", action="store_true", help="from the beginning, whatever was proved before")


VERBS: Final = {
    "verify": Verb(
        _verify,
        "Prove that outboxes, topics, inboxes and rows hold the same events; list what is lost, reordered, a ghost or "
        "not received. It starts where the last proof that found nothing ended; --since and --full start elsewhere.",
        "outbox verify",
        _verify_arguments,
    ),
}

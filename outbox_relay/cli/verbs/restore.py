"""`outbox restore`: put a row that was deleted from an outbox back from its record."""

import argparse
from typing import Final

from outbox_relay.cli import screen
from outbox_relay.cli.verb import (
    DONE,
    MISMATCH,
    Given,
    Verb,
    add_execution,
    add_record_address,
    named_one,
    refuse_silent_execution,
)
from outbox_relay.operations import owner as owners
from outbox_relay.operations.events import restore
from outbox_relay.operations.events.restore import NotRestorable
from outbox_relay.operations.topology import Topology


def _restore(given: Given, topology: Topology) -> int:
    refuse_silent_execution(given)
    service = named_one(given, topology, "a record has one service that wrote it")
    owner_url = owners.url("only the owner of the outbox may choose a position") if given.execute else ""
    try:
        lost, position = restore.find(topology, service, given.topic, given.partition, given.offset)
        if given.execute:
            position = restore.restore(topology, service, owner_url, lost, given.by, given.reason)
    except NotRestorable as error:
        screen.tell(f"{given.topic}/{given.partition}/{given.offset}: {error}")
        return MISMATCH
    line = {"service": service, "position": position, **lost._asdict(), "payload": f"{len(lost.payload)} bytes"}
    screen.put(given, [line])
    if given.execute:
        screen.tell("restored; check it: outbox verify --full")
    else:
        screen.tell(f"dry run; --execute needs --reason and {owners.OWNER}")
    return DONE


def _arguments(parser: argparse.ArgumentParser) -> None:
    add_record_address(parser)
    add_execution(parser)


VERBS: Final = {
    "restore": Verb(
        _restore,
        "Put a row that was deleted from an outbox back from its record: without --execute, show it. The database's "
        f"owner writes it, by the URL in {owners.OWNER}. Private events have no record and come back from a backup "
        "only.",
        "outbox restore --service order --topic order.events.v1 --partition 0 --offset 1207",
        _arguments,
    )
}

"""`outbox pause` and `resume`."""

import argparse
from dataclasses import asdict
from typing import Final

from outbox_relay.cli import screen
from outbox_relay.cli.verb import MISMATCH, Given, Verb, add_record, code_of, named
from outbox_relay.operations import pause
from outbox_relay.operations.topology import Topology, ask


def _pause(given: Given, topology: Topology) -> int:
    services = named(given, topology)
    answers, failures = ask(topology, services, lambda name, open_: pause.begin(name, open_, given.by, given.reason))
    screen.put(given, [asdict(stands) | {"made": made} for stands, made in answers.values()])
    refused = [stands for stands, made in answers.values() if not made]
    for stands in refused:
        screen.tell(f"{stands.service}: paused already {stands}; nothing is changed")
    return MISMATCH if refused else code_of(answers, failures)


def _resume(given: Given, topology: Topology) -> int:
    services = named(given, topology)
    answers, failures = ask(topology, services, lambda name, open_: pause.end(name, open_, given.by, given.reason))
    screen.put(given, [asdict(ended) for ended in answers.values() if ended is not None])
    for service, ended in answers.items():
        if ended is None:
            screen.tell(f"{service}: was not paused; nothing is changed")
    return code_of(answers, failures)


def _pause_arguments(parser: argparse.ArgumentParser) -> None:
    add_record(parser, required=True)


def _resume_arguments(parser: argparse.ArgumentParser) -> None:
    add_record(parser, required=False)


VERBS: Final = {
    "pause": Verb(
        _pause,
        "Let a service's relay publish nothing until it is resumed; what is in flight arrives, what waits is kept.",
        "outbox pause --service order --reason 'the broker moves to new machines'",
        _pause_arguments,
    ),
    "resume": Verb(
        _resume,
        "Let a paused relay publish again.",
        "outbox resume --service order --reason 'the broker has moved'",
        _resume_arguments,
    ),
}

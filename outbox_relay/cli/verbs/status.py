"""`outbox status`, `doctor` and `attention`: how each outbox does, and what needs an operator."""

import argparse
import textwrap
from dataclasses import asdict
from datetime import timedelta
from typing import Any, Final

from outbox_relay.cli import screen
from outbox_relay.cli.verb import DEPENDENCY_DOWN, DONE, MISMATCH, PARTIAL, Given, Verb, code_of, no_arguments, seconds
from outbox_relay.operations import attention, status
from outbox_relay.operations.diagnosis import deployment, doctor
from outbox_relay.operations.diagnosis.finding import Finding
from outbox_relay.operations.diagnosis.unanswered import UNANSWERED
from outbox_relay.operations.sagas import project
from outbox_relay.operations.topics import missing
from outbox_relay.operations.topology import Topology, ask, sessions

REASON_WIDTH: Final = 48  # the whole of it goes to stderr; a line of the table fits 120 columns


def _status(given: Given, topology: Topology) -> int:
    answers, failures = ask(topology, topology.chosen(given.service), status.read_status)
    if given.json:
        screen.put_json(one.shown() for one in answers.values())
    else:
        screen.put_table([_status_line(one) for one in answers.values()])
        screen.put_table([_program_line(name, one) for name, found in answers.items() for one in found.programs])
    late = [one for one in answers.values() if (one.oldest_seconds or 0) > given.threshold]
    for one in late:
        screen.tell(f"{one.service}: the oldest unpublished event has waited {one.oldest_seconds} s")
    faults = [f"{one.service}: {fault}" for one in answers.values() for fault in one.faults]
    for fault in faults:
        screen.tell(fault)
    code = code_of(answers, failures)
    return MISMATCH if late or faults else code


def _status_line(one: status.Status) -> dict[str, Any]:
    return {
        "service": one.service,
        "unpublished": one.unpublished,
        "oldest": None if one.oldest_seconds is None else f"{one.oldest_seconds} s",
        "rate": f"{one.events_a_second}/s",
        "cursor": f"{one.position} of {one.last}",
        "gaps": ",".join(str(a) if a == b else f"{a}..{b}" for a, b in one.gaps) or None,
        "dead letters": f"{one.dead_letter_publications} + {one.dead_letter_messages}",
        "missing": missing.total(one.missing_records),
        "jobs": one.jobs,
        "attention": one.attention,
        "paused": one.paused,
    }


def _program_line(service: str, one: status.ProgramState) -> dict[str, Any]:
    return {
        "service": service,
        "program": one.program,
        "instance": one.instance,
        "state": "silent" if one.silent else one.state,
        "for": f"{one.heartbeat_seconds if one.silent else one.state_seconds:.0f} s",
        "reason": textwrap.shorten(one.reason, REASON_WIDTH, placeholder="…") if one.reason else None,
    }


def _attention(given: Given, topology: Topology) -> int:
    answers, failures = ask(topology, topology.chosen(given.service), attention.read_attention)
    found = [asdict(one) for marked in answers.values() for one in marked]
    screen.put(given, found)
    return code_of(answers, failures)


def _deployment(given: Given, topology: Topology) -> int:
    answers, failures = ask(topology, topology.chosen(given.service), deployment.of_database)
    found = [risk for one in answers.values() for risk in one]
    found += deployment.of_kafka(topology.broker) if topology.kafka else []
    if given.json:
        screen.put_json(risk._asdict() for risk in found)
    else:
        screen.put_table([{"at": risk.at, "next": risk.next} for risk in found])
    for risk in found:
        screen.tell(f"{risk.at}: {risk.says}")
    if not found:
        screen.tell("nothing is at risk that can be asked here")
    code = code_of(answers, failures)
    return MISMATCH if found and code == DONE else code


def _doctor(given: Given, topology: Topology) -> int:
    if given.deploy:
        return _deployment(given, topology)
    services = topology.chosen(given.service)
    kafka = topology.broker if topology.kafka else None
    usual = None if given.usual is None else timedelta(seconds=given.usual)
    with sessions(topology, services) as (connections, failures):
        saga = None if given.service else project.of_project()
        found = doctor.findings(connections, failures, kafka, saga, usual)
    unanswered = {one.service for one in found if one.problem in UNANSWERED}
    if given.json:
        screen.put_json(asdict(one) | {"urgency": one.urgency} for one in found)
    else:
        screen.put_table([_finding_line(one) for one in found])
    if not found:
        screen.tell("nothing is wrong")
    for one in found:
        screen.tell(f"{one.problem}{f' at {one.service}' if one.service else ''}: {one.says}")
    if unanswered:
        return DEPENDENCY_DOWN if unanswered >= set(services) else PARTIAL
    return MISMATCH if found else DONE


def _finding_line(one: Finding) -> dict[str, Any]:
    return {
        "what": one.problem,
        "at": one.service,
        "since": one.since,
        "count": one.count,
        "next": one.next,
        "runbook": one.runbook,
    }


def _doctor_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--deploy",
        action="store_true",
        help="in place of what is wrong now: what of the deployment could lose events, or show them to others",
    )
    parser.add_argument(
        "--usual",
        type=seconds,
        metavar="SECONDS",
        help="what arrives, or leaves its step, within so long is well (default: three times what 95 %% of the last "
        f"200 took, by step; {doctor.USUAL.total_seconds():.0f} where too few have ended, and for what is to arrive)",
    )


def _status_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--threshold",
        type=seconds,
        default=float("inf"),
        metavar="SECONDS",
        help="exit 1 where an event has waited longer, too",
    )


VERBS: Final = {
    "status": Verb(
        _status,
        "Show what waits, how fast events come, dead letters, what needs attention, who paused it, each program.",
        "outbox status --threshold 60",
        _status_arguments,
    ),
    "doctor": Verb(
        _doctor,
        "Say what is wrong now over all services, most urgent first: since when, how many, the next command, and the "
        "entry of the runbook. With --deploy: what of the deployment could lose events, or show them to others.",
        "outbox doctor",
        _doctor_arguments,
    ),
    "attention": Verb(
        _attention,
        "List what is due and needs an operator: since when, why, and the remediation. It is retried by itself.",
        "outbox attention --service payment",
        no_arguments,
    ),
}

"""Dead letters released again, key by key in sequence, once their cause is fixed.

Publications are released by their status alone: this program sets SCHEDULE on everything unsent of an aggregate, in one
transaction, and the relay that leads sends it in sequence and notes SUCCEEDED, or FAILED again with the new reason.
Messages are released by the service's own program, which has the reactions.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple
from uuid import UUID

import psycopg

from outbox_relay.operations import audit, pause, status
from outbox_relay.operations.dead_letters import dead_letters
from outbox_relay.operations.dead_letters.dead_letters import Choice
from outbox_relay.operations.service_programs import run, unexpected
from outbox_relay.operations.topology import Topology, ask
from waybill.runtime.reports import MessageRedriven, RedriveRequest, Report

POLL_SECONDS: Final = 0.25  # the relay sees a redrive with its next heartbeat, a second later at most
SILENT_SECONDS: Final = 6.0  # a leader writes its heartbeat every second

# 1 and 2 are django_outbox_pattern's StatusChoice.SCHEDULE and SUCCEEDED.
SCHEDULE: Final = """
WITH chosen AS (SELECT id FROM published WHERE id = ANY(%s) AND status <> 2 ORDER BY id FOR UPDATE)
UPDATE published SET status = 1 FROM chosen WHERE published.id = chosen.id RETURNING published.id
"""
OUTCOME: Final = """
SELECT destination, body->>'aggregate_id', 'position ' || (body->>'position'), body->>'event_type', status,
       headers->>'reason' || ': ' || (headers->>'detail')
FROM published WHERE id = ANY(%s) ORDER BY (body->>'position')::bigint
"""
LEFT: Final = "SELECT count(*) FROM received WHERE id = ANY(%s) AND status = -1"
SCHEDULED, SENT = 1, 2
WAITS: Final = "not sent yet"
OVERTAKES: Final = "stays: an earlier dead letter of its key was not chosen"


class Begun(NamedTuple):
    """Publications that were released, messages that may be, and what was chosen and stays behind an earlier one."""

    publications: list[UUID]
    messages: list[UUID]
    stays: "list[RedriveOutcome]"


@dataclass(frozen=True, slots=True)
class RedriveOutcome:
    """What came of one dead letter; `failure` is None where it was sent, or handled.

    `ignored`: why it was handled without an effect, None where it had one.
    """

    service: str
    kind: str
    topic: str
    key: str
    place: str
    event_type: str | None
    failure: str | None
    ignored: str | None = None

    @property
    def waits(self) -> bool:
        """Say whether the relay has not come to it yet."""
        return self.failure == WAITS


def begin(service: str, connection: psycopg.Connection, choice: Choice, by: str, reason: str) -> Begun:
    """Release the publications and find the messages; what is done is on record. Raises psycopg.Error."""
    with connection.transaction():
        found = dead_letters.read(service, connection, choice)
        released = [letter for letter in found if letter.released]
        publications = dead_letters.ids(released, "publication")
        if publications:
            publications = [event_id for (event_id,) in connection.execute(SCHEDULE, (publications,))]
        messages = dead_letters.ids(released, "message")
        if publications or messages:
            what = {"publications": len(publications), "messages": len(messages), **choice.filters}
            audit.record(connection, "redrive", reason, what, by)
    stays = [
        RedriveOutcome(service, one.kind, one.topic, one.key, one.place, one.event_type, OVERTAKES)
        for one in found
        if not one.released
    ]
    return Begun(publications, messages, stays)


def handle_messages(
    topology: Topology, service: str, messages: Sequence[UUID], took: Callable[[MessageRedriven], object]
) -> str | None:
    """Handle these dead letters of the service again; `took` gets what came of each. Returns why it broke off.

    Blocks until it has ended.
    """
    stays = 0

    def take(report: Report) -> None:
        nonlocal stays
        if not isinstance(report, MessageRedriven):
            raise unexpected(report)
        stays += report.failure is not None
        took(report)

    failure = run(topology, service, ["redrive", "--only"], take, RedriveRequest([*map(str, messages)]))
    return failure or _why_untouched(topology, service, messages, stays)


def _why_untouched(topology: Topology, service: str, messages: Sequence[UUID], stays: int) -> str | None:
    """Return what is wrong where more dead letters are left than the program told of."""
    found, failures = ask(topology, [service], lambda _, open_: open_.execute(LEFT, (list(messages),)).fetchone())
    (left,) = found.get(service) or (0,)
    if left > stays:
        return f"{left - stays} of these dead letters are unknown to its program: its settings lead to another database"
    return failures.get(service)


def outcomes(service: str, connection: psycopg.Connection, publications: Sequence[UUID]) -> list[RedriveOutcome]:
    """Return what has come of the publications until now, in the sequence of the outbox. Raises psycopg.Error."""
    return [
        RedriveOutcome(service, "publication", topic, key, place, event_type, _trouble(state, said))
        for topic, key, place, event_type, state, said in connection.execute(OUTCOME, (list(publications),))
    ]


def _trouble(state: int, said: str) -> str | None:
    if state == SENT:
        return None
    return WAITS if state == SCHEDULED else said


def wait(
    topology: Topology, released: Mapping[str, Sequence[UUID]], seconds: float, progress: Callable[[int, int], object]
) -> tuple[dict[str, list[RedriveOutcome]], dict[str, str]]:
    """Return what the relays made of the publications, by service, and which databases did not answer.

    Blocks until none waits any more, `seconds` are over, or all that wait belong to a paused relay.
    """
    deadline = time.monotonic() + seconds
    while True:
        found, failures = ask(topology, list(released), lambda name, open_: outcomes(name, open_, released[name]))
        waiting = [service for service, ones in found.items() if any(one.waits for one in ones)]
        everything = [one for ones in found.values() for one in ones]
        progress(sum(not one.waits for one in everything), sum(map(len, released.values())))
        left = deadline - time.monotonic()
        if not (waiting or failures) or left <= 0:
            return found, failures
        pauses = ask(topology, waiting, pause.read)[0]
        if not failures and len(pauses) == len(waiting) and all(pauses.values()):
            return found, failures
        time.sleep(min(POLL_SECONDS, left))


def why_waiting(state: status.Status) -> str:
    """Return why the relay has not sent yet what it was asked to."""
    if state.paused:
        return f"the relay is paused {state.paused}"
    if state.leader is None or state.heartbeat_seconds is None or state.heartbeat_seconds > SILENT_SECONDS:
        return "no relay leads this database; start one, and it sends them"
    return f"{state.leader} leads, and /readyz of that relay says what it waits for"

"""What can keep a saga, in the sequence in which an operator mends it, and what each is told with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final


class Cause(StrEnum):
    """What keeps a saga, what an operator can mend first; nothing moves a cause on but a mend."""

    MESSAGE_DEAD_LETTER = "message dead letter"
    """A service could not handle the event: fix the cause, redrive."""
    PUBLICATION_DEAD_LETTER = "publication dead letter"
    """The broker refused the event: fix the cause, redrive."""
    NEEDS_ATTENTION = "task needs attention"
    """No attempt will end it: the task's own remediation."""
    RELAY_PAUSED = "relay paused"
    """Somebody paused it: resume."""
    DATABASE_AWAY = "database away"
    """Nobody can tell: bring the database back."""
    DATABASE_READ_ONLY = "database takes no writes"
    """It is a standby, or read-only: promote it, or lead the programs to the primary."""
    NO_RELAY = "no relay"
    """None runs, or none can log in."""
    BROKER_AWAY = "broker away"
    """Relay or consumer waits for the broker."""
    RECORDS_MISSING = "records missing"
    """The consumer never saw them: replay."""
    CONSUMER_AWAY = "consumer away"
    """None runs, or it is frozen."""
    PROGRAM_WAITS = "program waits"
    """Relay or consumer says what for."""
    TASK_FAILING = "task failing"
    """It is tried again by itself: bring back what it calls."""
    NOT_PUBLISHED = "not published yet"
    """The relay is behind."""
    NOT_RECEIVED = "not received yet"
    """The consumer is behind."""
    TASK_DUE = "task due"
    """No attempt yet: does a worker run?"""
    ON_ITS_WAY = "on its way"
    """Nothing to do."""
    NOTHING_FOUND = "nothing found"
    """Everything was received and nothing is due: an event is lost, or the table is of another release."""


RUNBOOK: Final[Mapping[Cause, str]] = {
    Cause.MESSAGE_DEAD_LETTER: "a-consumer-has-dead-letters",
    Cause.PUBLICATION_DEAD_LETTER: "a-relay-has-dead-letters",
    Cause.NEEDS_ATTENTION: "something-needs-attention",
    Cause.RELAY_PAUSED: "a-relay-does-not-publish",
    Cause.DATABASE_AWAY: "a-programs-database-does-not-answer",
    Cause.DATABASE_READ_ONLY: "a-programs-database-does-not-answer",
    Cause.NO_RELAY: "a-relay-does-not-publish",
    Cause.BROKER_AWAY: "a-relay-does-not-publish",
    Cause.RECORDS_MISSING: "records-are-missing",
    Cause.CONSUMER_AWAY: "a-program-does-not-answer",
    Cause.PROGRAM_WAITS: "a-program-waits",
    Cause.TASK_FAILING: "due-tasks-are-not-done",
    Cause.NOT_PUBLISHED: "a-relay-does-not-publish",
    Cause.NOT_RECEIVED: "a-consumer-does-not-handle-anything",
    Cause.TASK_DUE: "due-tasks-are-not-done",
    Cause.ON_ITS_WAY: "how-long-it-takes-an-event-to-arrive",
    Cause.NOTHING_FOUND: "events-were-lost-on-kafka",
}
FIRST: Final = {cause: nth for nth, cause in enumerate(Cause)}
PLACEHOLDER: Final = "--reason '…'"


@dataclass(frozen=True, slots=True)
class Why:
    """Why a saga waits: at which service, since when, in a sentence, and the command to run next.

    `answers`: the events that it waits for, and `answered_by` the service that gives them. `event` or `task` is what
    has not arrived, or not succeeded. `runbook`: the anchor of the entry that tells more.
    """

    cause: Cause
    service: str
    answers: Sequence[str]
    answered_by: str
    event: str | None
    task: str | None
    since: datetime | None
    says: str
    next: str
    runbook: str


@dataclass(frozen=True, slots=True)
class Found:
    """One thing that stands, before the answer that it keeps is known."""

    cause: Cause
    service: str
    says: str
    next: str
    since: datetime | None = None
    event: str | None = None
    task: str | None = None

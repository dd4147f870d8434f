"""One thing that is wrong, and everything that can be, in the sequence in which an operator mends it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final


class Problem(StrEnum):
    """What can be wrong, in the sequence in which it is mended: what explains others comes before them."""

    DATABASE_AWAY = "database away"
    """Bring the server back, or the address right."""
    LOGIN_REFUSED = "login refused"
    """Correct the URL's user, password or database, or who may log in."""
    TABLES_MISSING = "tables missing"
    """Run the service's migrations: its database is of an older release, or of none."""
    RIGHTS_MISSING = "rights missing"
    """Run the service's migrations, which grant the rights again."""
    DATABASE_ERROR = "database error"
    """What the server says: a disk, an index, an older version."""
    DATABASE_SLOW = "database slow"
    """End what holds the lock or keeps the server busy; nobody knows what else is wrong there."""
    DATABASE_READ_ONLY = "database takes no writes"
    """Promote it, or lead the programs to the primary."""
    BROKER_AWAY = "broker away"
    """Bring Kafka back; programs go on by themselves."""
    NO_RELAY = "no relay"
    """Start one, or let its role log in."""
    PROGRAM_SILENT = "program silent"
    """It died or is frozen: whatever supervises it starts it again."""
    PROGRAM_WAITS = "program waits"
    """Its reason says what for."""
    RELAY_PAUSED = "relay paused"
    """Who paused it resumes it."""
    ATTENTION = "task needs attention"
    """Only a person can end it: its remediation."""
    RECORDS_MISSING = "records missing"
    """Replay them."""
    PUBLICATIONS_REFUSED = "publications refused"
    """Raise the limit, say, and redrive."""
    DEAD_LETTERS = "dead letters"
    """Deploy the fix, and redrive."""
    TASKS_FAILING = "tasks failing"
    """Bring back what they call."""
    TASKS_LATE = "tasks late"
    """Start a worker."""
    EVENTS_LATE = "events not published"
    """The relay is behind."""
    COPY_BEHIND = "copy behind"
    """The consumer of what it copies is behind."""
    CONSUMER_BEHIND = "consumer behind"
    """Start another consumer, or look at what it waits for."""
    REPLAY_STOPPED = "replay stopped"
    """Resume it, or give it up."""
    SAGAS_WAIT = "waiting"
    """What keeps them stands above, or is told with them."""


RUNBOOK: Final[Mapping[Problem, str]] = {
    Problem.DATABASE_AWAY: "a-programs-database-does-not-answer",
    Problem.LOGIN_REFUSED: "a-programs-database-does-not-answer",
    Problem.TABLES_MISSING: "a-database-answers-with-an-error",
    Problem.RIGHTS_MISSING: "a-database-answers-with-an-error",
    Problem.DATABASE_ERROR: "a-database-answers-with-an-error",
    Problem.DATABASE_SLOW: "a-database-answers-with-an-error",
    Problem.DATABASE_READ_ONLY: "a-programs-database-does-not-answer",
    Problem.BROKER_AWAY: "a-relay-does-not-publish",
    Problem.NO_RELAY: "a-relay-does-not-publish",
    Problem.PROGRAM_SILENT: "a-program-does-not-answer",
    Problem.PROGRAM_WAITS: "a-program-waits",
    Problem.RELAY_PAUSED: "a-relay-does-not-publish",
    Problem.ATTENTION: "something-needs-attention",
    Problem.RECORDS_MISSING: "records-are-missing",
    Problem.PUBLICATIONS_REFUSED: "a-relay-has-dead-letters",
    Problem.DEAD_LETTERS: "a-consumer-has-dead-letters",
    Problem.TASKS_FAILING: "due-tasks-are-not-done",
    Problem.TASKS_LATE: "due-tasks-are-not-done",
    Problem.EVENTS_LATE: "a-relay-does-not-publish",
    Problem.COPY_BEHIND: "a-consumer-does-not-handle-anything",
    Problem.CONSUMER_BEHIND: "a-consumer-does-not-handle-anything",
    Problem.REPLAY_STOPPED: "events-were-lost-on-kafka",
    Problem.SAGAS_WAIT: "what-is-wrong-now",
}
URGENCY: Final = {problem: nth for nth, problem in enumerate(Problem)}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong: at which service, since when, how many, and the next command.

    `service` is None where it is no one service's. `runbook`: the anchor of the entry that tells more.
    """

    problem: Problem
    service: str | None
    says: str
    since: datetime | None
    count: int
    next: str
    runbook: str

    @property
    def urgency(self) -> int:
        """Return its place in the sequence; 0 comes first."""
        return URGENCY[self.problem]


def finding(
    problem: Problem, service: str | None, says: str, since: datetime | None, count: int, next_: str
) -> Finding:
    """Return the finding with its entry of the runbook."""
    return Finding(problem, service, says, since, count, next_, RUNBOOK[problem])

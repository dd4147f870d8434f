"""What a service reacts to, as its running release has recorded it in its own database (waybill/inbox/reactions.py).

Nothing is guessed where that is missing: taken for "reacts to nothing", an inbox would not be verified, and a replay
would reach it unguarded and be applied twice. A database without an inbox is another matter: nothing is received there.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

import psycopg

from outbox_relay.operations.parts import has_inbox
from outbox_relay.operations.topology import DependencyDown, Topology, ask

# A release is rolled out, or back, within it: so long may a consumer of the release before still run.
ROLLED_OUT: Final = timedelta(days=7)
# One row at least where anything was recorded; of a service that reacts to nothing, one without a type.
REACTIONS: Final = """
SELECT event_type, topic, removed_at IS NULL FROM waybill_reactions_recorded
LEFT JOIN waybill_reaction ON removed_at IS NULL OR removed_at > clock_timestamp() - %s
"""


@dataclass(frozen=True, slots=True)
class Reactions:
    """What one service reacts to."""

    topic_of: Mapping[str, str] = field(default_factory=dict[str, str])
    """Event type → topic, of the running release."""
    removed: frozenset[str] = frozenset()
    """Event types that a consumer of the release before may still apply."""

    @property
    def types(self) -> frozenset[str]:
        """Return the event types that the running release reacts to."""
        return frozenset(self.topic_of)

    @property
    def topics(self) -> list[str]:
        """Return the topics that the consumer reads."""
        return sorted(set(self.topic_of.values()))


def recorded(service: str, connection: psycopg.Connection) -> Reactions:
    """Return what the service reacts to. Raises psycopg.Error, also where it has not recorded it."""
    try:
        found = connection.execute(REACTIONS, (ROLLED_OUT,)).fetchall()
    except psycopg.errors.UndefinedTable:
        if not has_inbox(connection):
            return Reactions()
        raise _not_recorded(service, "there is no table waybill_reaction") from None
    if not found:
        raise _not_recorded(service, "table waybill_reactions_recorded is empty")
    present = {event_type: topic for event_type, topic, is_present in found if event_type and is_present}
    return Reactions(present, frozenset(event_type for event_type, _, is_present in found if not is_present))


def topics_read(topology: Topology, service: str) -> list[str]:
    """Return the topics that the service's consumer reads. Raises DependencyDown."""
    answers, failures = ask(topology, [service], recorded)
    for why in failures.values():
        raise DependencyDown(f"database {service}: {why}")
    return answers[service].topics


def _not_recorded(service: str, why: str) -> psycopg.OperationalError:
    return psycopg.OperationalError(
        f"{service} has not recorded what it reacts to ({why}), so nobody knows what its inbox must have; "
        "run its migrations, as in python manage.py migrate, or start its consumer"
    )

"""How long the services' inboxes keep a message: an older one would be applied a second time.

A message is remembered for WAYBILL_INBOX_DAYS of the service that received it. What that was is read off the rows
themselves, the one that is kept shortest; an inbox without any tells nothing, and the setting's default is taken.
Other subscribers keep their own inbox, and a group that is told to handle events again means it.
"""

from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

import psycopg

from outbox_relay.operations import names
from outbox_relay.operations.reactions import recorded
from outbox_relay.operations.topology import UNBOUNDED, Topology, ask
from outbox_relay.operations.verify.inboxes import RETENTION
from waybill.runtime.settings import Settings

# What an inbox without rows is taken to remember.
DEFAULT: Final = timedelta(days=Settings.model_fields["inbox_days"].default)
ON_THE_WAY: Final = timedelta(hours=1)  # until a copy that is sent now has been looked up everywhere


class InboxRetention(NamedTuple):
    """For how long one service's inbox keeps messages of the types that it reacts to."""

    service: str
    types: frozenset[str]
    lasts: timedelta

    def reaches(self, now: datetime) -> datetime:
        """Return since when everything recorded is sure to be remembered."""
        return now - self.lasts + ON_THE_WAY


def ask_inboxes(
    topology: Topology, types: Collection[str], to_consumer: str | None, *, reprocess: bool
) -> tuple[list[InboxRetention], dict[str, str]]:
    """Return the retentions that a replay of these types relies on, and which databases did not answer."""

    def question(service: str, connection: psycopg.Connection) -> InboxRetention:
        reactions = recorded(service, connection)
        meant = to_consumer in {None, names.recorded(service, connection).group}
        met = (reactions.removed | reactions.types) & set(types) if meant else frozenset[str]()
        (lasts,) = (connection.execute(RETENTION).fetchone() if met else None) or (None,)
        return InboxRetention(service, met, lasts or DEFAULT)

    answers, failures = ask(topology, () if reprocess else topology.databases, question, UNBOUNDED)
    return [inbox for inbox in answers.values() if inbox.types], failures


def forgotten(retentions: Collection[InboxRetention], oldest: Mapping[str, datetime]) -> str | None:
    """Return why the events must not be sent, their oldest by type; None where every inbox remembers them."""
    now = datetime.now(UTC)
    for inbox in retentions:
        for event_type, recorded_at in oldest.items():
            if event_type in inbox.types and recorded_at < inbox.reaches(now):
                return (
                    f"the inbox of {inbox.service} forgets after {inbox.lasts.days} days, and "
                    f"{event_type.rpartition('.')[2]} of {recorded_at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ} would be "
                    f"applied twice; choose --since {inbox.reaches(now):%Y-%m-%dT%H:%M:%SZ}, or one group with "
                    "--to-consumer: a subscriber's own, or a service's with --reprocess"
                )
    return None

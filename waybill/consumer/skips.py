"""Records that operators decided to skip (`outbox skip`): they are left out once the consumer waits at their batch.

A decision is for a record and not for its offset: key and event id must be the same, so a topic that is created anew
does not inherit it.
"""

from collections.abc import Sequence
from contextlib import suppress
from typing import Final, NamedTuple

import structlog
from django.db import connection

from waybill.consumer.message import Message
from waybill.deciders.outcomes import Unreadable

log: structlog.stdlib.BoundLogger = structlog.get_logger()

# By the partial index waybill_operator_decision_skipped, which is empty almost always.
DECIDED: Final = """
SELECT decision.topic, decision."partition", decision."offset", decision.key, decision.event_id::text,
       action.reason, action.operator
FROM unnest(%s::text[], %s::integer[], %s::bigint[]) AS given (topic, "partition", "offset")
JOIN waybill_operator_decision AS decision USING (topic, "partition", "offset")
JOIN waybill_operator_action AS action ON action.id = decision.action_id
WHERE decision.kind = 'skipped_record'
"""


class Skip(NamedTuple):
    """A record that is passed over, and who decided it why."""

    message: Message
    reason: str
    operator: str

    @property
    def place(self) -> str:
        """Return topic, partition and offset."""
        return self.message.place


def among(messages: Sequence[Message]) -> list[Skip]:
    """Return which of the messages operators decided to skip. Raises what the database raises."""
    here = {(m.topic, m.partition, m.offset, m.key, event_id(m)): m for m in messages}
    columns = [list(column) for column in zip(*((m.topic, m.partition, m.offset) for m in messages), strict=True)]
    with connection.cursor() as cursor:
        cursor.execute(DECIDED, columns)
        decided = {tuple(identity): (reason, operator) for *identity, reason, operator in cursor.fetchall()}
    return [Skip(here[identity], *why) for identity, why in decided.items() if identity in here]


def event_id(message: Message) -> str | None:
    """Return the event's id; None where nobody can read it."""
    with suppress(Unreadable):
        return message.event_id
    return None


def log_skipped(skipped: Sequence[Skip]) -> None:
    """Log each record that the consumer has passed over."""
    for skip in skipped:
        log.warning(
            "record skipped",
            place=skip.place,
            key=skip.message.key,
            type=skip.message.event_type,
            event_id=event_id(skip.message),
            correlation_id=skip.message.headers.get("ce_correlationid"),
            reason=skip.reason,
            by=skip.operator,
        )

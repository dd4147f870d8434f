"""What a project's tests need.

A Scenario is given events, and says what a decider makes of a command. `explore` searches every interleaving of a saga.
`captured_events` tells what was appended:

    with captured_events() as events:
        response = self.client.post("/bookings/", form)
    self.assertEqual(events, [BookingMade(booking_id=1, guests=2)])
"""

from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from django.db import DEFAULT_DB_ALIAS

from waybill.contracts.event import Event
from waybill.testing.scenario import Scenario

if TYPE_CHECKING:
    from waybill.testing.saga import Request, explore
    from waybill.testing.search import Found, TooManyStates

__all__ = ["Found", "Request", "Scenario", "TooManyStates", "captured_events", "explore"]


def __getattr__(name: str) -> Any:
    """Import on first use what needs Django to be set up: rows are models."""
    if name in {"Request", "explore"}:
        from waybill.testing import saga

        return getattr(saga, name)
    if name in {"Found", "TooManyStates"}:
        from waybill.testing import search

        return getattr(search, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


@contextmanager
def captured_events(using: str = DEFAULT_DB_ALIAS) -> Generator[list[Event]]:
    """Fill the list, when the block ends, with the events that were appended meanwhile, in their sequence.

    Read from the outbox, so that what was rolled back, by a savepoint too, is not there. Of use in a TestCase and in a
    TransactionTestCase. Raises codec.UnreadableEvent.
    """
    from waybill.consumer import schema_ids
    from waybill.outbox.models import OutboxEvent

    rows = OutboxEvent.objects.using(using)
    newest = rows.order_by("-position").first()
    before = newest.position if newest else 0
    events: list[Event] = []
    yield events
    appended = rows.filter(position__gt=before).order_by("position")
    events += [schema_ids.decode(row.event_type, row.schema_version, bytes(row.payload)) for row in appended]

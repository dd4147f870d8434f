"""What a project's tests need.

with captured_events() as events:
response = self.client.post("/bookings/", form)
self.assertEqual(events, [BookingMade(booking_id=1, guests=2)])
"""

from collections.abc import Generator
from contextlib import contextmanager

from django.db import DEFAULT_DB_ALIAS

from waybill.contracts.event import Event
from waybill.testing.scenario import Scenario

__all__ = ["Scenario", "captured_events"]


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

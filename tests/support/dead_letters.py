"""Dead letters of an inventory service, and their redrive."""

from uuid import uuid4

from schemas.events import OrderPlaced
from tests.support.inbox import dead_letters, message, process
from tests.support.orders import placed
from tests.support.outbox_command import Ended, outbox, settings

BROKEN = b"no frame"


def redrive(database, *arguments: str) -> Ended:
    """Redrive one database's messages."""
    told = ["--service", "inventory", "--reason", "repaired", *arguments]
    return outbox("redrive", "--json", *told, **settings(inventory=database.service_url))


def dead_letter_pair(quantity: int = 2) -> OrderPlaced:
    """Make a dead letter of an order's first event for its bytes, and the same order's next one behind it."""
    event = placed(uuid4(), quantity=quantity)
    process(message(event, value=BROKEN))
    process(message(event))
    assert [one["key"] for one in dead_letters()].count(event.aggregate_id) == 2
    return event

"""What operators acknowledged is known by its event and by its place."""

from uuid import uuid4

from outbox_relay.operations.decisions import Ghosts

EVENT = uuid4()
KNOWN = Ghosts(frozenset({EVENT}), frozenset({("order.events.v1", 0, 7)}))


def test_a_copy_of_an_acknowledged_ghost_is_acknowledged_wherever_it_stands():
    assert KNOWN.has(EVENT, "order.events.v1", 2, 9)


def test_a_record_whose_headers_cannot_be_read_is_acknowledged_by_its_place():
    assert KNOWN.has(None, "order.events.v1", 0, 7)


def test_another_record_is_not_acknowledged():
    assert not KNOWN.has(None, "order.events.v1", 0, 8)
    assert not KNOWN.has(uuid4(), "order.events.v1", 1, 7)

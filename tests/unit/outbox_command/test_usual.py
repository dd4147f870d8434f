"""How long a step usually takes is measured on those that went well, and fixed where too few have."""

from datetime import UTC, datetime, timedelta

from devstack.folder import CHECKOUT
from outbox_relay.operations.sagas.usual import ENOUGH, FIXED, SHORTEST, Usual, of_stays, stays
from waybill.sagas.saga import read

SAGA = read(CHECKOUT / "schemas" / "saga.json")
TYPES = {one.name: one.event_type for one in SAGA.events}
START = datetime(2026, 5, 4, 12, tzinfo=UTC)


def path(key: str, **seconds: float) -> list[tuple[str, str, datetime]]:
    """The events of one saga, each so many seconds after it began."""
    return [(key, TYPES[name], START + timedelta(seconds=at)) for name, at in seconds.items()]


def test_a_stay_lasts_from_the_event_that_begins_a_status_to_the_one_that_ends_it():
    well = path("a", OrderPlaced=0, OrderReserved=2, OrderCharged=9, OrderConfirmed=9)
    other = path("b", OrderPlaced=0, OrderReserved=4, OrderCharged=5, OrderConfirmed=5)
    found = stays(SAGA, [*well, *other])
    assert (found["PENDING"], found["RESERVED"]) == ([2.0, 4.0], [7.0, 1.0])
    assert "CONFIRMED" not in found  # it has ended: nothing ends that stay


def test_a_step_is_late_after_three_times_what_nineteen_of_twenty_took():
    usual = of_stays({"RESERVED": [*[1.0] * 10, *[20.0] * 85, *[9_999.0] * 5]})
    assert usual.of("RESERVED") == timedelta(seconds=60)
    assert usual.says("RESERVED") == "up to 60 s in RESERVED is usual (measured)"
    assert of_stays({"RESERVED": [20.0] * 94 + [100.0] * 6}).of("RESERVED") == timedelta(seconds=300)


def test_where_too_few_have_ended_the_time_is_fixed_and_says_so():
    usual = of_stays({"RESERVED": [1.0] * (ENOUGH - 1)})
    assert usual.of("RESERVED") == FIXED
    assert "60 s in RESERVED is usual (fixed: too few have ended to measure it)" in usual.says("RESERVED")


def test_no_step_is_late_before_a_program_that_died_counts_as_silent():
    assert of_stays({"PENDING": [0.1] * ENOUGH}).of("PENDING") == SHORTEST


def test_those_that_may_be_late_are_looked_for_from_the_shortest_step_on():
    usual = Usual(FIXED, {"PENDING": timedelta(seconds=15), "RESERVED": timedelta(seconds=90)})
    assert usual.shortest(["PENDING", "RESERVED"]) == timedelta(seconds=15)
    assert usual.shortest(["CANCELLING", "RESERVED"]) == FIXED
    assert usual.shortest([]) == FIXED

"""A topic with two sources that take turns, as while rows change hands: each side proves its own, and names the other.

Both sides write aggregate `a`: versions 1 and 2 are of one, 3 and 4 of the other, 5 of the first again.
"""

import uuid
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from devstack.harness.databases import Server
from tests.support.outbox_command import Ended, outbox, settings
from tests.support.relays import Outbox, append, empty, relay
from tests.support.verifying import send

EXECUTE = ["--execute", "--reason", "subscribers were told", "--by", "ana"]
HERE, THERE = "/waybill/order_service", "/waybill/inventory_service"


@pytest.fixture
def there(database_server: Server, own_outbox: Outbox) -> Iterator[Outbox]:
    """The other side, on the same topic, after three turns of both."""
    with database_server.fresh("inventory_service") as database:
        other = replace(empty(database, own_outbox.kafka), topic=own_outbox.topic)
        publish(own_outbox, "order_service", (1, 2), last=2)
        publish(other, "inventory_service", (3, 4), last=2)
        publish(own_outbox, "order_service", (5,), last=3)
        yield other


def publish(side: Outbox, service: str, versions: tuple[int, ...], *, last: int) -> None:
    with side.connect() as writer, relay(side, WAYBILL_SERVICE=service):
        for version in versions:
            append(writer, side.topic, "a", version)
        side.wait_for_cursor(last)


def proved(kafka: str, *arguments: str, **sides: Outbox) -> tuple[Ended, dict[str, Any], list[dict[str, Any]]]:
    urls = {name: side.database.service_url for name, side in sides.items()}
    done = outbox("verify", "--no-rows", "--json", *arguments, **settings(kafka, **urls))
    assert done.out, done.err
    *faults, counts = done.lines()
    return done, counts, faults


def test_each_side_is_proved_alone_and_both_together(own_outbox: Outbox, there: Outbox):
    kafka = own_outbox.kafka
    done, counts, faults = proved(kafka, "--full", shop=own_outbox)
    assert (done.code, faults, counts["events"], counts["sources"]) == (0, [], 3, {THERE: 2})
    assert f"2 events on the topics are of {THERE}" in done.err
    done, counts, faults = proved(kafka, "--full", depot=there)
    assert (done.code, faults, counts["events"], counts["sources"]) == (0, [], 2, {HERE: 3})
    done, counts, faults = proved(kafka, "--full", shop=own_outbox, depot=there)
    assert (done.code, faults, counts["events"], counts["sources"]) == (0, [], 5, {})

    # No ghost is acknowledged of the other side; one of nobody is, and it alone.
    where = settings(kafka, shop=own_outbox.database.service_url)
    assert outbox("acknowledge", "--service", "shop", "--all", **where).code == 1
    nobody = uuid.uuid4()
    send(own_outbox, "a", nobody, 6)
    done, _, (fault,) = proved(kafka, "--full", shop=own_outbox)
    assert (done.code, fault["kind"], fault["event_id"]) == (1, "ghost", str(nobody))
    done = outbox("acknowledge", "--json", "--service", "shop", "--all", *EXECUTE, **where)
    assert [line["event_id"] for line in done.lines()] == [str(nobody)]


def test_what_a_side_has_lost_of_its_own_is_still_found(own_outbox: Outbox, there: Outbox):
    kafka = own_outbox.kafka
    there.execute("DELETE FROM waybill_outbox WHERE aggregate_version = 3")
    done, counts, faults = proved(kafka, "--full", depot=there)
    # Its record is its own: a ghost, and no version of another source before the row.
    assert (done.code, {(one["kind"], one["version"]) for one in faults}) == (1, {("versions", 4), ("ghost", 3)})
    assert counts["sources"] == {HERE: 3}
    own_outbox.execute("DELETE FROM waybill_outbox WHERE aggregate_version = 1")
    _, _, faults = proved(kafka, "--full", shop=own_outbox)
    assert {(one["kind"], one["version"]) for one in faults} == {("versions", 2), ("ghost", 1)}

"""`status` says how each program of a service does, and why one does not do its work."""

from contextlib import contextmanager

import pytest

from devstack.harness.databases import PASSWORD
from devstack.harness.wait import wait_until
from outbox_relay.operations.status import READ_ONLY
from tests.support.outbox_command import Ended, execute, outbox, settings
from tests.support.relays import Outbox, append, relay

SILENT = 40  # seconds for three missed heartbeats, on a busy machine


def status(of: Outbox, *arguments: str) -> Ended:
    return outbox("status", *arguments, **settings(order=of.database.service_url))


def states(of: Outbox) -> dict[str, str]:
    """State of each program by its instance, "silent" where it is."""
    (one,) = status(of, "--json").lines()
    return {told["instance"]: "silent" if told["silent"] else told["state"] for told in one["programs"]}


def until(of: Outbox, wanted: dict[str, str], deadline_seconds: float = 20) -> None:
    wait_until(lambda: states(of) == wanted, deadline_seconds=deadline_seconds, what=f"{wanted}, not {states(of)}")


@contextmanager
def another_password(of: Outbox):
    execute(of.database, "ALTER ROLE test_relay PASSWORD 'another'")
    try:
        yield
    finally:
        execute(of.database, f"ALTER ROLE test_relay PASSWORD '{PASSWORD}'")


@pytest.mark.slow
def test_a_relay_that_cannot_log_in_is_said_to_have_no_session(own_outbox: Outbox):
    with relay(own_outbox) as leader:
        leader.wait_until_leading()
        until(own_outbox, {leader.name: "leading"})
        leader.kill()
    with another_password(own_outbox), relay(own_outbox) as refused:
        refused.wait_for("the refusal", lambda: "password" in (refused.unready() or ""))
        wait_until(lambda: status(own_outbox).code == 1, deadline_seconds=SILENT, what="exit code 1")
        told = status(own_outbox)
        assert "order: no relay has a heartbeat younger than 15 s; last one " in told.err
        assert "the role test_relay may log in and has no session: its relay does not run, cannot " in told.err
        assert "or gives a wrong password; its log says which" in told.err
        assert states(own_outbox) == {leader.name: "silent"}
    with relay(own_outbox) as back:
        until(own_outbox, {back.name: "leading"})
        assert (status(own_outbox).code, status(own_outbox).err) == (0, "")


@pytest.mark.slow
def test_a_standby_is_shown_and_one_that_was_killed_is_silent_until_another_replaces_it(own_outbox: Outbox):
    with relay(own_outbox) as leader:
        leader.wait_until_leading()
        with relay(own_outbox) as standby:
            until(own_outbox, {leader.name: "leading", standby.name: "standby"})
            assert status(own_outbox).code == 0
        until(own_outbox, {leader.name: "leading", standby.name: "silent"}, SILENT)
        told = status(own_outbox)
        assert (told.code, f"order: relay {standby.name} is silent: no heartbeat for" in told.err) == (1, True)
        with relay(own_outbox) as successor:
            until(own_outbox, {leader.name: "leading", successor.name: "standby"})
            assert successor.stop() == 0
        assert states(own_outbox) == {leader.name: "leading"}


@pytest.mark.slow
def test_what_a_relay_waits_for_is_said_with_its_age_and_the_table_fits_120_columns(own_outbox: Outbox):
    with own_outbox.connect() as writer, relay(own_outbox) as leader:
        append(writer, own_outbox.topic, "a", 1, event_type="waybill.order.OrderUnregistered")
        what = "schema: no schema id yet for waybill.order.OrderUnregistered"
        wait_until(lambda: what in status(own_outbox).err, deadline_seconds=20, what="the reason")
        told = status(own_outbox)
    assert told.code == 1
    assert f"order: relay {leader.name} has waited for" in told.err
    assert max(map(len, told.out.splitlines())) <= 120


def test_a_database_that_takes_no_writes_is_said_to(own_outbox: Outbox):
    execute(own_outbox.database, f"ALTER DATABASE {own_outbox.database.name} SET default_transaction_read_only = on")
    told = status(own_outbox)
    assert (told.code, READ_ONLY in told.err) == (1, True)


@pytest.mark.slow
def test_a_row_without_a_heartbeat_for_an_hour_is_removed(own_outbox: Outbox):
    add = """
    INSERT INTO waybill_program_state (program, instance, state, started_at, heartbeat_at)
    SELECT 'worker', %s, 'working', at - interval '1 hour', at FROM (SELECT now() - %s::interval) AS beat (at)
    """
    execute(own_outbox.database, add, "old", "61 minutes")
    execute(own_outbox.database, add, "lost", "59 minutes")
    with relay(own_outbox) as leader:
        until(own_outbox, {leader.name: "leading", "lost": "silent"})
    assert execute(own_outbox.database, "SELECT 1 FROM waybill_program_state WHERE instance = 'old'") == []

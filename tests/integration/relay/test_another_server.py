"""A database that went back: restored from yesterday, or replaced by a standby that lagged, under a running relay.

What the relay published since then is on the topics and in no outbox: ghosts. It says so, loses nothing that is
written afterwards, and `verify` names them.
"""

import pytest

from tests.support.outbox_command import outbox as command
from tests.support.outbox_command import settings
from tests.support.postgres import PostgresServer
from tests.support.relays import Outbox, RelayProcess, append, read_topic, relay, repeated


@pytest.fixture
def outbox(server_outbox: Outbox) -> Outbox:
    return server_outbox


def publish(outbox: Outbox, *wanted: int) -> None:
    """Write these versions of one aggregate, and wait until they are published and a crash would not repeat them."""
    with outbox.connect() as writer:
        for version in wanted:
            last = append(writer, outbox.topic, "a", version)
    outbox.wait_for_cursor(last, deadline_seconds=20)
    outbox.wait_until_durable()


def assert_nothing_committed_is_lost(outbox: Outbox, ghosts: int) -> None:
    rows = outbox.execute("SELECT event_id::text, aggregate_version FROM waybill_outbox ORDER BY position")
    records = read_topic(outbox.kafka, outbox.topic)
    committed = dict(rows)
    seen = [record.version for record in records if record.headers["ce_id"] in committed]
    assert (seen, repeated(records)) == ([version for _, version in rows], 0)
    done = command("verify", "--no-rows", "--json", **settings(outbox.kafka, shop=outbox.database.service_url))
    *_, counts = done.lines()
    found = {kind: counts[kind] for kind in ("ghost", "lost", "reordered", "versions", "cursor", "repeated")}
    assert found == {"ghost": ghosts, "lost": 0, "reordered": 0, "versions": 0, "cursor": 0, "repeated": 0}
    assert done.code == 1


def last_said(running: RelayProcess, event: str) -> dict[str, object]:
    return running.wait_for(event, lambda: running.events(event), 20)[-1]


@pytest.mark.slow
def test_a_database_restored_to_yesterday_is_logged_at_error_and_publishing_resumes(
    outbox: Outbox, server: PostgresServer
):
    backup = server.data.with_name("yesterday")
    with relay(outbox) as running:
        publish(outbox, 1, 2, 3)
        server.stop()
        server.copy_to(backup)
        server.start()
        publish(outbox, 4, 5, 6)
        assert not running.events("relay_cursor_went_back")
        server.stop()
        server.put_back(backup)
        server.start()
        said = last_said(running, "relay_cursor_went_back")
        assert (said["recorded"], said["found"]) == (6, 3)
        publish(outbox, 4, 5, 6, 7)
        assert outbox.cursor() == (7, [])
        assert running.unready() is None
    assert_nothing_committed_is_lost(outbox, ghosts=3)


@pytest.mark.slow
def test_a_lagging_standby_that_is_promoted_is_logged_at_error_and_publishing_resumes(
    outbox: Outbox, server: PostgresServer
):
    with relay(outbox) as running:
        publish(outbox, 1, 2, 3)
        with server.standby() as standby:
            standby.stop_following()
            publish(outbox, 4, 5, 6)
            server.kill()
            standby.move_to(server.port)
            running.wait_for("the reason", lambda: "this is a standby" in (running.unready() or ""))
            standby.promote()
            said = last_said(running, "relay_meets_another_server")
            assert said["timeline"] == 2
            assert said["before"] == {"system_identifier": said["system_identifier"], "timeline": 1}
            gone_back = last_said(running, "relay_cursor_went_back")
            assert (gone_back["recorded"], gone_back["found"]) == (6, 3)
            publish(outbox, 4, 5, 6, 7)
            assert running.unready() is None
            assert_nothing_committed_is_lost(outbox, ghosts=3)

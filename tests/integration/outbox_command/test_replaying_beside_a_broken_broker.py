"""What a broker's end does to a replay, and what a replay does for a broker that has lost its tail."""

import signal

import pytest

from devstack.harness.wait import wait_until
from outbox_relay.cli.verb import DEPENDENCY_DOWN
from tests.support.broker import Broker
from tests.support.outbox_command import Ended, outbox, settings
from tests.support.relays import Outbox, append, relay
from tests.support.replaying import EVERYTHING, WHY, copies, jobs, passed_over, running, sent


@pytest.mark.slow
def test_a_job_whose_broker_has_gone_away_can_be_stopped_and_continues_when_it_is_back(
    broker_outbox: Outbox, broker: Broker
):
    passed_over(broker_outbox, 60)
    with running(broker_outbox, *EVERYTHING, *WHY, "--rate", "20") as process:
        wait_until(lambda: sent(broker_outbox) > 0, deadline_seconds=20, what="a batch is durable")
        broker.kill()
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=30)[1]
    (job,) = jobs(broker_outbox)
    assert (process.returncode, len(said.splitlines()), job["state"]) == (130, 1, "stopped")
    assert f"outbox replay --resume {job['id']}" in said
    broker.start()
    here = settings(broker_outbox.kafka, order=broker_outbox.database.service_url)
    assert outbox("replay", "--resume", job["id"], "--rate", "1000", **here).code == 0
    found = [record.headers["ce_id"] for record in copies(broker_outbox)]
    assert len(set(found)) == 60
    assert len(found) <= 62


@pytest.mark.slow
def test_what_a_broker_lost_with_its_tail_is_listed_by_verify_and_repaired_by_a_replay(
    broker_outbox: Outbox, broker: Broker
):
    with broker_outbox.connect() as writer, relay(broker_outbox):
        for version in (1, 2, 3, 4):
            for key in "abcdefgh":
                append(writer, broker_outbox.topic, key, version)
        broker_outbox.wait_for_cursor(32)
    broker.kill()
    for partition in range(3):
        broker.cut_tail(broker_outbox.topic, partition)
    broker.start()
    here = settings(broker_outbox.kafka, shop=broker_outbox.database.service_url)

    def verified() -> Ended | None:
        done = outbox("verify", "--no-rows", "--json", **here)
        return None if done.code == DEPENDENCY_DOWN else done

    found = wait_until(verified, deadline_seconds=90, what="a broker that has just started answers")
    assert found is not None
    *faults, counts = found.lines()
    assert (found.code, counts["lost"], len(faults)) == (1, len(faults), len(faults))
    assert faults
    lost = [word for fault in faults for word in ("--event", fault["event_id"])]
    assert outbox("replay", *lost, *WHY, **here).code == 0
    repaired = outbox("verify", "--no-rows", "--json", **here)
    (counts,) = repaired.lines()
    assert (repaired.code, counts["lost"], counts["reordered"], counts["replayed"]) == (0, 0, 0, len(faults))

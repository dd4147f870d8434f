"""A redrive at a rate is a job: its result is true whatever ends it, and it is resumed where it was."""

import os
import signal
import time
from contextlib import suppress
from pathlib import Path
from uuid import UUID

import psycopg
import pytest

from devstack.harness.wait import wait_until
from outbox_relay.operations.dead_letters import dead_letters as letters
from outbox_relay.operations.dead_letters.dead_letters import Choice
from outbox_relay.operations.redrives import collecting, jobs
from tests.support.dead_letters import dead_letter_pair, redrive
from tests.support.inbox import dead_letters, message, process, reserved
from tests.support.many_dead_letters import fill
from tests.support.orders import placed
from tests.support.outbox_command import Running, execute, outbox, settings
from tests.support.redriving import ROOMY, refuse, repair
from tests.support.relays import Outbox, read_topic, relay, set_limit, versions

COUNTS = ("total", "handled", "ignored", "failed", "behind", "gone")


def counts(line: dict) -> dict[str, int]:
    """Return what came of a job, without what is nothing."""
    return {name: line[name] for name in COUNTS if line[name]}


def job_of(database) -> jobs.Job:
    with psycopg.connect(database.service_url) as session:
        (job,) = jobs.newest("inventory", session, 10)
        return job


def results(database, outcome: str | None) -> list[jobs.Result]:
    job = job_of(database)
    with psycopg.connect(database.service_url) as session:
        return jobs.results(session, job.id, outcome, 100)


def test_a_job_tells_what_was_handled_what_failed_again_and_what_waits_behind_that(inventory):
    good, bad = dead_letter_pair(), dead_letter_pair()
    repair(inventory, good)
    done = redrive(inventory, "--rate", "100", "--by", "ana")
    ((job,), code) = done.lines(), done.code
    assert code == 1, done.err
    assert counts(job) == {"total": 4, "handled": 1, "ignored": 1, "failed": 1, "behind": 1}
    assert (job["state"], job["verb"], job["rate"], job["created_by"]) == ("done", "redrive", 100, "ana")
    assert {one["key"] for one in dead_letters()} == {bad.aggregate_id}
    ((failed,), (behind,)) = results(inventory, "failed"), results(inventory, "behind")
    assert (failed.key, failed.detail.partition(":")[0]) == (bad.aggregate_id, "Unreadable")
    assert (behind.key, behind.detail) == (bad.aggregate_id, "behind a dead letter of its key")
    ((verb, reason, what),) = execute(inventory, "SELECT verb, reason, what FROM waybill_operator_action")
    assert (verb, reason) == ("redrive", "repaired")
    assert what == {"job": job["id"], "publications": 0, "messages": 4, "rate": 100}
    listed = outbox("jobs", "--json", **settings(inventory=inventory.service_url)).lines()
    assert [(one["verb"], one["done"]) for one in listed] == [("redrive", 4)]
    assert "1 handled, 1 ignored, 1 failed, 1 behind" in outbox("jobs", **settings(inventory=inventory.service_url)).out


def test_a_message_that_changes_nothing_is_ignored_and_counts_apart(inventory):
    event = placed(UUID(int=11))
    process(message(event))
    process(message(event, value=b"no frame"))
    repair(inventory, event)  # the same order again: its stock is held already
    (job,) = redrive(inventory, "--rate", "100").lines()
    assert counts(job) == {"total": 1, "ignored": 1}
    ((ignored,), held) = results(inventory, "ignored"), reserved()
    assert (bool(ignored.detail), held) == (True, 2)


def test_a_group_is_redriven_and_no_other(inventory):
    event = dead_letter_pair()
    repair(inventory, event)
    nothing = redrive(inventory, "--rate", "5", "--reason-class", "KeyError")
    assert (nothing.code, nothing.out, job_count(inventory)) == (1, "", 0)
    (job,) = redrive(inventory, "--rate", "100", "--reason-class", "Unreadable", "--messages").lines()
    assert (counts(job), job["classes"], job["kinds"]) == (
        {"total": 2, "handled": 1, "ignored": 1},
        ["Unreadable"],
        ["message"],
    )


def job_count(database) -> int:
    return execute(database, "SELECT count(*) FROM waybill_redrive_job")[0][0]


def started(tmp_path: Path, inventory, rate: int = 2) -> Running:
    arguments = ["redrive", "--json", "--service", "inventory", "--reason", "repaired", "--rate", str(rate)]
    return Running(tmp_path, *arguments, **settings(inventory=inventory.service_url))


def test_the_rate_bounds_it_and_ctrl_c_leaves_a_job_that_is_resumed(inventory, tmp_path: Path):
    events = [dead_letter_pair() for _ in range(4)]
    for event in events:
        repair(inventory, event)
    with started(tmp_path, inventory) as running:
        running.wait_for("some are handled", lambda: job_count(inventory) and job_of(inventory).done >= 2)
        ended = running.interrupt()
    assert ended.code == 130
    stopped = job_of(inventory)
    assert stopped.state == "stopped"
    assert 2 <= stopped.done < 8
    assert len(dead_letters()) == 8 - stopped.done
    ((seconds,),) = execute(inventory, "SELECT date_part('epoch', updated_at - created_at) FROM waybill_redrive_job")
    assert stopped.done <= 2 * seconds + 1
    resumed = redrive(inventory, "--resume", str(stopped.id), "--rate", "100")
    ((job,), code) = resumed.lines(), resumed.code
    assert (code, counts(job)) == (0, {"total": 8, "handled": 4, "ignored": 4})
    assert (dead_letters(), reserved()) == ([], 8)
    ((what,),) = execute(inventory, "SELECT what FROM waybill_operator_action WHERE what ? 'resumed'")
    assert (what["done"], what["rate"]) == (stopped.done, 100)


@pytest.mark.slow
def test_a_killed_job_is_resumed_with_true_counts(inventory, tmp_path: Path):
    for event in [dead_letter_pair() for _ in range(4)]:
        repair(inventory, event)
    with started(tmp_path, inventory, rate=4) as running:
        running.wait_for("some are handled", lambda: job_count(inventory) and job_of(inventory).done >= 2)
        os.kill(running._process.pid, signal.SIGKILL)
    wait_until(lambda: job_of(inventory).state == "stopped", deadline_seconds=10, what="its lock is given back")
    again = redrive(inventory, "--resume", str(job_of(inventory).id))
    assert (again.code, counts(again.lines()[0])) == (0, {"total": 8, "handled": 4, "ignored": 4})
    assert (dead_letters(), reserved()) == ([], 8)


def test_a_job_that_is_given_up_stops_and_cannot_be_resumed(inventory, tmp_path: Path):
    for event in [dead_letter_pair() for _ in range(4)]:
        repair(inventory, event)
    with started(tmp_path, inventory) as running:
        running.wait_for("one is handled", lambda: job_count(inventory) and job_of(inventory).done >= 1)
        given_up = redrive(inventory, "--abandon", str(job_of(inventory).id))
        running.wait_for("its end", lambda: running._process.poll() is not None)
    assert (given_up.code, given_up.lines()[0]["state"]) == (0, "abandoned")
    assert len(dead_letters()) == 8 - job_of(inventory).done > 0
    assert redrive(inventory, "--resume", str(job_of(inventory).id)).code == 1


def test_what_somebody_else_discarded_meanwhile_is_told_as_gone(inventory):
    event, other = dead_letter_pair(), dead_letter_pair()
    repair(inventory, event)
    with psycopg.connect(inventory.service_url, autocommit=True) as session:
        job = jobs.make("inventory", session, Choice(), None, "ana", "why")
    execute(inventory, "DELETE FROM received WHERE status = -1 AND headers->>'key' = %s", other.aggregate_id)
    (done,) = redrive(inventory, "--resume", str(job.id)).lines()
    assert counts(done) == {"total": 4, "handled": 1, "ignored": 1, "gone": 2}


def test_publications_are_released_in_lots_and_what_is_refused_again_is_told(own_outbox: Outbox):
    refuse(own_outbox, "a", "b")
    set_limit(own_outbox.kafka, own_outbox.topic, ROOMY)
    told = ["--service", "shop", "--reason", "the limit was raised", "--rate", "3"]
    with relay(own_outbox):
        done = outbox("redrive", "--json", *told, **settings(shop=own_outbox.database.service_url))
    assert (done.code, counts(done.lines()[0])) == (0, {"total": 6, "handled": 6}), done.err
    assert versions(read_topic(own_outbox.kafka, own_outbox.topic)) == {"a": [1, 2, 3], "b": [1, 2, 3]}
    lots = own_outbox.execute("SELECT key, count(*) FROM waybill_redrive_item GROUP BY released_at, key ORDER BY key")
    assert lots == [("a", 3), ("b", 3)]
    ((seconds,),) = own_outbox.execute("SELECT date_part('epoch', updated_at - created_at) FROM waybill_redrive_job")
    assert seconds >= 1


@pytest.mark.slow
def test_publications_that_are_refused_again_stay_and_count_as_failed(own_outbox: Outbox):
    refuse(own_outbox, "a")
    told = ["--service", "shop", "--reason", "a try", "--rate", "100"]
    with relay(own_outbox):
        done = outbox("redrive", "--json", *told, **settings(shop=own_outbox.database.service_url))
    assert (done.code, counts(done.lines()[0])) == (1, {"total": 3, "failed": 1, "behind": 2}), done.err


@pytest.mark.slow
def test_a_redrive_of_very_many_is_made_and_resumed_with_no_long_statement(inventory, monkeypatch):
    with psycopg.connect(inventory.superuser_url, autocommit=True) as session:
        fill(session, 16_000)
    monkeypatch.setattr(collecting, "KEYS", 50)
    with psycopg.connect(inventory.service_url, autocommit=True) as page:
        refuse_to_read_all(page)
        assert collecting.plan(page, Choice()) == collecting.Plan(0, 16_000, 0, whole=True)
        assert not collecting.plan(page, Choice(), seconds=0).whole
        monkeypatch.setattr(jobs, "SECONDS", 0.0)
        job = jobs.make("inventory", page, Choice(), None, "ana", "all of them")
    assert job is not None
    assert (0 < job.total < 16_000, job.collected_to is not None) == (True, True)
    execute(inventory, "DELETE FROM received WHERE status = -1")  # somebody discards them meanwhile
    ended = redrive(inventory, "--resume", str(job.id)).lines()
    assert (ended[0]["state"], ended[0]["total"], ended[0]["gone"]) == ("done", job.total, job.total)


def refuse_to_read_all(session: psycopg.Connection) -> None:
    """Set a limit for statements that reading all at once exceeds here and now: half of what it takes, or less."""
    limit_ms = 1_000 * seconds_to_read_all(session)
    with suppress(psycopg.errors.QueryCanceled):
        while True:
            limit_ms /= 2
            assert limit_ms >= 1
            session.execute(f"SET statement_timeout = {limit_ms:.0f}")
            letters.read("inventory", session, Choice())


def seconds_to_read_all(session: psycopg.Connection) -> float:
    began = time.monotonic()
    letters.read("inventory", session, Choice())
    return time.monotonic() - began


def test_what_a_job_had_no_time_to_find_is_found_before_the_first_is_tried(inventory, monkeypatch):
    for event in [dead_letter_pair() for _ in range(3)]:
        repair(inventory, event)
    monkeypatch.setattr(jobs, "SECONDS", 0.0)
    monkeypatch.setattr(collecting, "KEYS", 1)
    with psycopg.connect(inventory.service_url, autocommit=True) as page:
        job = jobs.make("inventory", page, Choice(), None, "ana", "all of them")
    assert job is not None
    assert (job.total, job.collected_to is not None) == (2, True)
    done = redrive(inventory, "--resume", str(job.id))
    assert counts(done.lines()[0]) == {"total": 6, "handled": 3, "ignored": 3}, done.err
    assert job_of(inventory).collected_to is None
    assert dead_letters() == []

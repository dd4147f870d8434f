"""A handover whose command is killed at any step: the old state, or one that the next command completes."""

import json
import os
import signal
import subprocess
from collections.abc import Callable, Generator
from contextlib import contextmanager

import psycopg
import pytest

from devstack.harness.wait import wait_until
from tests.support.applying import Side
from tests.support.owning import Sides
from waybill.migrate.ownership import moving
from waybill.migrate.ownership.moving import NotCompleted
from waybill.migrate.status import status

RISE = "UPDATE booking SET total = total + 1 WHERE id = 1"
LOCKED = """
SELECT count(*) FROM pg_locks WHERE relation = 'booking'::regclass AND granted AND mode = 'ShareRowExclusiveLock'
"""
VERIFYING = (
    "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'waybill migrate' AND datname = current_database()"
)
QUEUED = "SELECT count(*) FROM waybill_capture"
QUEUE = "INSERT INTO waybill_capture (source, key) VALUES ('booking', '1')"
ROW = "SELECT FROM waybill_ownership FOR {}"
NOWHERE = "postgresql://nobody@127.0.0.1:1/nothing"
SHORT, LONG = ("--hold-seconds", "2", "--json"), ("--hold-seconds", "20", "--json")


@pytest.fixture
def sides(shop, other, tmp_path):
    with Sides.made(shop, other, tmp_path) as made:
        yield made


def kill(program: subprocess.Popen[str]) -> None:
    program.kill()
    program.wait(10)


def has_locks(side: Side) -> bool:
    return side.execute(LOCKED) == [(1,)]


@contextmanager
def kept_in_the_hold(sides: Sides, side: Side) -> Generator[None]:
    """Take a key out of the queue and do not commit: a handover has the locks and waits for it."""
    sides.courier.carries.set()
    until(lambda: side.execute(QUEUED) == [(0,)] and sides.here.rows() == sides.there.rows(), "an empty queue")
    sides.courier.carries.clear()
    with psycopg.connect(side.bookings.shop.url) as taker:
        while not taker.execute("SELECT FROM waybill_capture FOR UPDATE").fetchall():
            taker.execute(QUEUE)
            taker.commit()
        sides.courier.carries.set()
        yield


def until(look: Callable[[], object], what: str) -> None:
    wait_until(look, deadline_seconds=30, what=what, every_seconds=0.01)


def test_before_the_commit_a_killed_or_stopped_command_leaves_the_old_state(sides):
    here = sides.here
    sides.courier.carries.clear()  # what does not arrive keeps it verifying
    here.execute(RISE)
    program = sides.start(here, "cutover", *SHORT)
    until(lambda: here.execute(VERIFYING)[0][0] > 1, "verifying")
    kill(program)
    for end in (signal.SIGKILL, signal.SIGSTOP):
        with kept_in_the_hold(sides, here):
            program = sides.start(here, "cutover", *SHORT)
            until(lambda: has_locks(here), "locked tables")
            os.kill(program.pid, end)
            until(lambda: not has_locks(here), "tables that are free")
        here.execute(RISE)
    until(lambda: sides.owners() == [(True, 0, False, False), (False, 0, False, False)], "a hold that lapses")
    os.kill(program.pid, signal.SIGCONT)
    answer, _ = program.communicate(timeout=20)
    assert (program.returncode, json.loads(answer.splitlines()[-1])["result"]) == (1, "old state")
    assert sides.owners() == [(True, 0, False, None), (False, 0, False, None)]


def test_after_the_commit_nobody_owns_until_the_verb_again_or_run_completes_it(sides):
    here, there = sides.here, sides.there
    with psycopg.connect(there.bookings.shop.url) as blocker:
        with kept_in_the_hold(sides, here):
            program = sides.start(here, "cutover", *LONG)
            until(lambda: has_locks(here), "locked tables")
            blocker.execute(ROW.format("SHARE"))
        until(lambda: sides.owners()[0][2], "a side that is leaving")
        kill(program)
    assert [one[:3] for one in sides.owners()] == [(False, 1, True), (False, 0, False)]
    for side in (here, there):
        with pytest.raises(psycopg.Error, match="takes no UPDATE here"):
            side.execute(RISE)
    with here.in_use():
        said = status(here.bookings.aggregate, "default")
        assert (said.is_well, said.is_owner, said.leaving, said.refuses_writes) == (False, False, True, True)
        with pytest.raises(NotCompleted, match=r"given up here and not taken there: .*or the same verb again"):
            moving.complete(here.bookings.built(), "default", NOWHERE, seconds=0.1)
    code, answer, _ = sides.run(here, "cutover", *LONG)
    assert (code, json.loads(answer)["was_completed"]) == (0, True)
    assert sides.owners() == [(False, 1, False, None), (True, 1, False, None)]
    there.execute(RISE)

    with psycopg.connect(there.bookings.shop.url) as blocker:
        with psycopg.connect(here.bookings.shop.url) as taken_later:
            with kept_in_the_hold(sides, there):
                program = sides.start(there, "cutback", *LONG)
                until(lambda: has_locks(there), "locked tables")
                taken_later.execute(ROW.format("SHARE"))
            until(lambda: sides.owners()[1][2], "a side that is leaving")
            blocker.execute(ROW.format("UPDATE"))
        until(lambda: sides.owners()[0][0], "the first side owns again")
        kill(program)
    here.execute(RISE)
    assert sides.run(there, "run", "--until-empty")[0] == 0
    assert sides.owners() == [(True, 2, False, None), (False, 2, False, None)]
    record = there.execute("SELECT direction, epoch, hold_seconds > 0, result FROM waybill_ownership_log ORDER BY id")
    assert record[-1] == ("cutback", 2, True, "gave it up")

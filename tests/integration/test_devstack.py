"""The local stack keeps its data, clears up after every kill, and leaves no process behind."""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import psutil
import psycopg
import pytest

from devstack.harness.stack import CHECKOUT
from devstack.harness.wait import wait_until
from devstack.processes import leftovers

pytestmark = pytest.mark.slow

SMALL = ("--only", "postgres,provider")


class Devstack:
    """A small stack in a folder of its own, used as a user would."""

    def __init__(self, home: Path, **environment: str) -> None:
        self.home = home
        # Parts that containers supply to other tests would not be this stack's.
        supplied = {"WAYBILL_POSTGRES_URL", "WAYBILL_KAFKA_BOOTSTRAP", "WAYBILL_REGISTRY_URL"}
        inherited = {name: value for name, value in os.environ.items() if name not in supplied}
        self.environment = {**inherited, "WAYBILL_HOME": str(home), **environment}

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "devstack", *arguments],
            cwd=CHECKOUT,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        process = self.start(*arguments)
        out, err = process.communicate(timeout=120)
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)

    def up(self) -> dict:
        done = self.run("up", *SMALL)
        assert done.returncode == 0, done.stderr
        return self.state

    @property
    def state(self) -> dict:
        return json.loads((self.home / "state.json").read_text())

    def living(self) -> list[psutil.Process]:
        return leftovers.find(self.home)

    def charges(self, order: str) -> list:
        with urllib.request.urlopen(f"{self.state['urls']['provider']}/v1/charges?order_id={order}") as answer:
            return json.loads(answer.read())["items"]

    def charge(self, order: str) -> None:
        body = {"order_id": order, "amount": 1, "currency": "EUR", "payment_method": "tok_ok"}
        headers = {"Idempotency-Key": order}
        url = f"{self.state['urls']['provider']}/v1/charges"
        urllib.request.urlopen(urllib.request.Request(url, json.dumps(body).encode(), headers)).close()


@pytest.fixture
def make(tmp_path):
    made: list[Devstack] = []

    def maker(name: str = "stack", **environment: str) -> Devstack:
        made.append(Devstack(tmp_path / name, **environment))
        return made[-1]

    yield maker
    for stack in made:
        assert stack.run("reset").returncode == 0
        assert stack.living() == []


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    """A stack that the tests of this module share: each starts it, which costs little once its data is there."""
    shared = Devstack(tmp_path_factory.mktemp("devstack") / "shared")
    yield shared
    assert shared.run("reset").returncode == 0
    assert shared.living() == []


def test_data_and_addresses_survive_a_restart(stack):
    before = stack.up()
    stack.charge("restarted")
    with psycopg.connect(before["databases"]["order"]) as connection:
        assert connection.execute("SELECT current_user").fetchone() == ("order_service",)
    assert stack.run("down").returncode == 0
    assert stack.living() == []
    assert not (stack.home / "state.json").exists()
    after = stack.up()
    assert (after["urls"], after["databases"]) == (before["urls"], before["databases"])
    assert len(stack.charges("restarted")) == 1


def test_the_services_databases_are_closed_to_each_other(stack):
    databases = stack.up()["databases"]
    theirs = databases["order"].rpartition("/")[0] + "/payment"
    with pytest.raises(psycopg.OperationalError, match="permission denied"):
        psycopg.connect(theirs).close()


def test_a_running_stack_is_left_as_it_is(stack):
    before = stack.up()
    again = stack.run("up", *SMALL)
    assert again.returncode == 0
    assert "already running" in again.stderr
    assert stack.state == before


def test_a_killed_process_comes_back_and_the_state_says_so(stack):
    killed = stack.up()["processes"]
    stack.charge("killed")
    for pid in killed.values():
        os.kill(pid, signal.SIGKILL)

    def everybody_is_back() -> bool:
        now = stack.state["processes"]
        return now.keys() == killed.keys() and not set(now.values()) & set(killed.values())

    wait_until(everybody_is_back, deadline_seconds=30, what="new pids in state.json")
    wait_until(lambda: answers(stack), deadline_seconds=30, what="the provider and PostgreSQL answer")


def answers(stack: Devstack) -> bool:
    try:
        psycopg.connect(stack.state["databases"]["order"]).close()
        return bool(stack.charges("killed"))
    except (OSError, psycopg.Error):
        return False


def test_a_killed_supervisor_is_cleared_up_by_the_next_start(stack):
    stack.up()
    stack.charge("orphaned")
    orphans = kill_supervisor(stack)
    assert orphans
    stack.up()
    assert len(stack.charges("orphaned")) == 1
    assert not [process for process in orphans if leftovers.is_alive(process)]


def test_a_killed_supervisor_s_programs_are_stopped_by_down(stack):
    stack.up()
    kill_supervisor(stack)
    assert stack.run("down").returncode == 0
    assert stack.living() == []
    assert not (stack.home / "run" / "supervisord.pid").exists()


def kill_supervisor(stack: Devstack) -> list[psutil.Process]:
    supervisor = psutil.Process(int((stack.home / "run" / "supervisord.pid").read_text()))
    supervisor.kill()
    supervisor.wait(10)
    return stack.living()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_run_stops_everything_at_a_signal(stack, number):
    stack.run("down")
    running = stack.start("run", *SMALL)
    wait_until((stack.home / "state.json").exists, deadline_seconds=60, what="a running stack")
    running.send_signal(number)
    _, err = running.communicate(timeout=60)
    assert running.returncode == 128 + number, err
    assert "Traceback" not in err
    assert stack.living() == []


def test_an_interrupted_start_leaves_nothing(stack):
    stack.run("down")
    starting = stack.start("up", *SMALL)
    wait_until((stack.home / "run" / "supervisord.pid").exists, deadline_seconds=60, what="a start under way")
    starting.send_signal(signal.SIGINT)
    _, err = starting.communicate(timeout=60)
    # It may have been ready a moment before the signal.
    assert (starting.returncode, stack.living()) == (130, []) or starting.returncode == 0, err
    assert "Traceback" not in err


def test_a_run_that_was_killed_is_cleared_up(stack):
    stack.run("down")
    running = stack.start("run", *SMALL)
    wait_until((stack.home / "state.json").exists, deadline_seconds=60, what="a running stack")
    running.kill()
    running.communicate(timeout=10)
    assert stack.run("down").returncode == 0
    assert stack.living() == []


def test_a_taken_port_is_one_line_and_leaves_nothing(make):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        stack = make(WAYBILL_PROVIDER_PORT=str(port))
        done = stack.run("up", *SMALL)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert f"WAYBILL_PROVIDER_PORT={port}" in line
    assert str(os.getpid()) in line
    assert stack.living() == []


@pytest.mark.slow
def test_a_program_that_cannot_start_is_named_with_its_last_words_and_leaves_nothing(make):
    stack = make()
    stack.up()
    assert stack.run("down").returncode == 0
    (stack.home / "data" / "provider.sqlite").write_bytes(b"no database " * 100)
    done = stack.run("up", *SMALL)
    assert done.returncode == 1
    first, *log = done.stderr.splitlines()
    assert first.startswith("waybill: provider keeps ending while it starts")
    assert "file is not a database" in "".join(log)
    assert stack.living() == []


def test_two_starts_at_once_make_one_stack(stack):
    stack.run("down")
    both = [stack.start("up", *SMALL) for _ in range(2)]
    said = [process.communicate(timeout=120)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert sum("already running" in err for err in said) == 1


@pytest.mark.slow
def test_two_stacks_run_side_by_side(make):
    one, two = make("one"), make("two")
    states = [one.up(), two.up()]
    assert not set(states[0]["urls"].values()) & set(states[1]["urls"].values())
    assert one.run("down").returncode == 0
    assert two.charges("any") == []


def test_status_tells_whether_all_is_well(stack):
    stack.run("down")
    assert stack.run("status").returncode == 1
    stack.up()
    wait_until(lambda: stack.run("status").returncode == 0, deadline_seconds=20, what="all programs running")

"""How the command behaves: Ctrl-C, bars and colours on a terminal only, data on stdout and nothing else there."""

import json
import os
import pty
import signal
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import psycopg
import pytest

from devstack.harness.databases import ServiceDatabase
from outbox_relay.cli import command
from tests.support.outbox_command import AWAY, COMMAND, Running, execute, outbox, place_orders, settings
from tests.support.relays import CHECKOUT, Outbox, append, relay, set_limit

ESCAPE = "\x1b"
NEEDS = {
    "show": ["0198c0de-7000-7000-8000-000000000001"],
    "rebuild": ["--check"],
    "partitions": ["status"],
    "pause": ["--service", "order", "--reason", "why"],
    "resume": ["--service", "order"],
    "redrive": ["--service", "order", "--reason", "why"],
    "discard": ["--service", "order", "--all"],
    "skip": ["--service", "order", "--topic", "payment.events.v1", "--partition", "0", "--offset", "0"],
    "order": ["0198c0de-7000-7000-8000-000000000001"],
    "reschedule": ["1", "--service", "order"],
    "cancel-task": ["1", "--service", "order"],
    "settle": ["0198c0de-7000-7000-8000-000000000001", "--service", "payment", "--written-off"],
    "acknowledge": ["--service", "order", "--all"],
    "restore": ["--service", "order", "--topic", "order.events.v1", "--partition", "0", "--offset", "0"],
    "replay": ["--positions", "1.."],
    "grow": ["order.events.v1", "--to", "12"],
}
FINDINGS = {"tail": 1, "doctor": 2}  # lines that say it as data: one, and a table's head with its row
ASKED = {"settle": "payment"}  # the service that has something to settle; the others are asked of the order service
# Interrupts itself in the midst of its start.
IMPATIENT = """
import os, signal, sys
from outbox_relay.cli.entry import main
class Finder:
    def find_spec(name, *_):
        if name == "outbox_relay.cli.verbs":
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Finder)
main()
"""
LOCKED = "SELECT 1 FROM pg_stat_activity WHERE application_name = 'outbox' AND wait_event_type = 'Lock'"


def on_a_terminal(*arguments: str, **environment: str) -> tuple[int, str, str]:
    """Run the command with a terminal as its stderr; returns its exit code and both streams."""
    terminal, end = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, *arguments],
        cwd=CHECKOUT,
        env={**os.environ, "TERM": "xterm-256color", **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=end,
        text=True,
    )
    os.close(end)
    with process, os.fdopen(terminal, "rb", buffering=0) as screen:
        shown = b""
        while piece := _read(screen.fileno()):
            shown += piece
        assert process.stdout is not None
        out = process.stdout.read()
    return process.returncode, out, shown.decode()


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except OSError:  # Linux's way to say that the other end is closed
        return b""


def test_ctrl_c_while_it_starts_ends_it_without_a_word():
    done = subprocess.run([sys.executable, "-c", IMPATIENT], cwd=CHECKOUT, capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, b"", b"")


def test_it_is_installed_as_outbox():
    installed = Path(sys.executable).with_name("outbox")
    done = subprocess.run([installed, "status", "--help"], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.startswith("usage: outbox status ")


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["list", "status", "verify", "rebuild", "redrive"])
def test_ctrl_c_ends_it_at_once_with_130(order_database: ServiceDatabase, tmp_path: Path, verb: str):
    places = settings(order=order_database.service_url)
    with psycopg.connect(order_database.superuser_url) as holder:
        holder.execute("LOCK TABLE waybill_outbox, received IN ACCESS EXCLUSIVE MODE")
        with Running(tmp_path, verb, *NEEDS.get(verb, []), **places) as running:
            waiting = LOCKED if verb != "rebuild" else LOCKED.replace("application_name = 'outbox'", "true")
            running.wait_for("the lock", lambda: execute(order_database, waiting))
            ended = running.interrupt()
    assert (ended.code, ended.out, ended.err) == (130, "", "")


def test_long_work_shows_a_bar_on_a_terminal_and_data_stays_data(own_outbox: Outbox):
    with own_outbox.connect() as writer, relay(own_outbox):
        for version in (1, 2, 3):
            append(writer, own_outbox.topic, "a", version)
        own_outbox.wait_for_cursor(3)
    places = settings(own_outbox.kafka, shop=own_outbox.database.service_url)
    code, out, shown = on_a_terminal("verify", "--no-rows", "--json", **places)
    assert (code, json.loads(out)["records"], "records" in shown, "100%" in shown) == (0, 3, True, True)


def test_the_fold_shows_how_far_it_is(order_database: ServiceDatabase):
    place_orders(3)
    code, out, shown = on_a_terminal("rebuild", "--check", **settings(order=order_database.service_url))
    assert (code, out, "events and rows of order" in shown, "100%" in shown) == (0, "", True, True)


def test_a_redrive_shows_how_far_it_is(own_outbox: Outbox):
    set_limit(own_outbox.kafka, own_outbox.topic, 10_000)
    with own_outbox.connect() as writer, relay(own_outbox):
        append(writer, own_outbox.topic, "a", 1, size=20_000)
        own_outbox.wait_for_cursor(1)
        places = settings(shop=own_outbox.database.service_url)
        code, out, shown = on_a_terminal("redrive", "--json", "--service", "shop", "--reason", "why", **places)
    assert (code, len(out.splitlines()), "publications" in shown, "100%" in shown) == (1, 1, True, True)


@pytest.mark.slow
@pytest.mark.parametrize("verb", sorted(command.verbs().keys() - {"tail", "verify"}))  # of verify: test_verifying
def test_off_a_terminal_there_is_no_colour_and_json_is_all_there_is_on_stdout(
    order_database: ServiceDatabase, verb: str
):
    place_orders(1)
    places = settings(**{ASKED.get(verb, "order"): order_database.service_url})
    done = outbox(verb, *NEEDS.get(verb, []), "--json", **places)
    assert ESCAPE not in done.out + done.err
    done.lines()


@pytest.mark.slow
@pytest.mark.parametrize("verb", command.verbs())
def test_a_database_that_does_not_answer_is_one_line_and_4(verb: str):
    done = outbox(verb, *NEEDS.get(verb, []), **settings(**{ASKED.get(verb, "order"): AWAY}))
    assert (done.code, done.out.count("\n"), len(done.err.splitlines())) == (4, FINDINGS.get(verb, 0), 1), done.err


def test_it_says_its_version():
    done = outbox("--version")
    assert (done.code, done.out) == (0, f"outbox {version('waybill')}\n")

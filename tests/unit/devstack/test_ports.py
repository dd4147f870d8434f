"""Ports are what the user said, or what they were last time, or free; a clash is one line naming the variable."""

import os
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from devstack import ports
from devstack.errors import DevstackError

CHOOSES = """
from devstack import ports
print(*ports.choose(map(str, range(30)), {}, {}).values(), flush=True)
input()
"""


@pytest.fixture
def taken():
    with socket.socket() as listening:
        listening.bind((ports.HOST, 0))
        listening.listen()
        yield listening.getsockname()[1]


def free() -> int:
    return ports.choose(["x"], {}, {})["x"]


def test_a_fixed_port_is_used():
    port = free()
    assert ports.choose(["kafka"], {"kafka": 20_001}, {"WAYBILL_KAFKA_PORT": str(port)}) == {"kafka": port}


def test_a_taken_fixed_port_is_named_with_its_holder(taken):
    with pytest.raises(DevstackError, match=f"WAYBILL_KAFKA_PORT={taken}: .* taken by process {os.getpid()} "):
        ports.choose(["kafka"], {}, {"WAYBILL_KAFKA_PORT": str(taken)})


@pytest.mark.parametrize("text", ["abc", "-1", "65536", "1.5", "²"])
def test_what_is_no_port_is_quoted(text):
    with pytest.raises(DevstackError, match=r"WAYBILL_KAFKA_PORT=.* is no port"):
        ports.choose(["kafka"], {}, {"WAYBILL_KAFKA_PORT": text})


def test_two_parts_cannot_be_fixed_to_one_port():
    port = str(free())
    with pytest.raises(DevstackError, match=f"WAYBILL_POSTGRES_PORT={port}: another part"):
        ports.choose(["kafka", "postgres"], {}, {"WAYBILL_KAFKA_PORT": port, "WAYBILL_POSTGRES_PORT": port})


def test_a_port_is_kept_while_it_is_free(taken):
    port = free()
    assert ports.choose(["kafka"], {"kafka": port}, {}) == {"kafka": port}
    assert ports.choose(["kafka"], {"kafka": taken}, {})["kafka"] != taken


def test_a_fixed_port_is_not_given_to_another_part():
    port = free()
    chosen = ports.choose(["registry", "kafka"], {"registry": port}, {"WAYBILL_KAFKA_PORT": str(port)})
    assert chosen["kafka"] == port != chosen["registry"]


def test_threads_that_choose_at_once_get_no_port_twice():
    with ThreadPoolExecutor(8) as threads:
        found = [port for chosen in threads.map(lambda _: [free() for _ in range(20)], range(8)) for port in chosen]
    assert len(found) == len(set(found)) == 160


def test_processes_that_choose_at_once_get_no_port_twice():
    choose = (
        "from devstack import ports; print(*ports.choose(map(str, range(30)), {}, {}).values(), flush=True); input()"
    )
    command = [sys.executable, "-c", choose]
    running = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    chosen = [port for one in running for port in one.stdout.readline().split()]
    for one in running:
        one.communicate("\n", timeout=20)
    assert len(chosen) == len(set(chosen)) == 120

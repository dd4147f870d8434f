"""Every line of every program's log is JSON, whatever is done to the program."""

import json
import os
import signal
import socket
import urllib.request
from pathlib import Path

import psycopg
import pytest

from devstack.harness.stack import Stack
from devstack.harness.wait import wait_until

KINDS = ("web", "consumer", "relay", "worker")


def programs(stack: Stack) -> list[str]:
    return [name for name in stack.state["processes"] if name.rpartition(".")[2] in KINDS]


def address(stack: Stack, program: str) -> tuple[str, int]:
    ports = json.loads((stack.home / "stack.json").read_text())["ports"]
    return "127.0.0.1", ports.get(f"{program}.health", ports[program])


def hang_up(stack: Stack, program: str) -> None:
    """Ask for something long, and be gone before it is answered."""
    for path in ("/metrics", "/readyz"):
        with socket.create_connection(address(stack, program), timeout=5) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
            client.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())


def bad_request(stack: Stack, program: str) -> None:
    with socket.create_connection(address(stack, program), timeout=5) as client:
        client.sendall(b"\x16\x03\x01 no HTTP at all\r\n\r\n")
        client.recv(1000)


def answers(stack: Stack, program: str) -> bool:
    host, port = address(stack, program)
    try:
        with urllib.request.urlopen(f"http://{host}:{port}/livez", timeout=5) as answer:
            return answer.status == 200
    except OSError:
        return False


def not_json(log: Path) -> list[str]:
    found = []
    for line in log.read_text(errors="replace").splitlines():
        try:
            json.loads(line)
        except ValueError:
            found.append(line)
    return found


@pytest.mark.slow
def test_every_line_of_every_program_is_json(stack: Stack):
    names = programs(stack)
    assert len(names) == 17
    for name in names:
        hang_up(stack, name)
        bad_request(stack, name)
    with psycopg.connect(stack.database("postgres"), autocommit=True) as server:
        server.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname IN ('order', 'payment') "
            "AND pid <> pg_backend_pid()"
        )
    before = {name: stack.pid(name) for name in names}
    for name in names:
        os.kill(before[name], signal.SIGTERM)
    for name in names:
        wait_until(
            lambda n=name: stack.pid(n) not in {0, before[n]} and answers(stack, n),
            deadline_seconds=120,
            what=f"{name} is back",
        )
    found = {name: not_json(stack.home / "log" / f"{name}.log") for name in names}
    assert {name: lines for name, lines in found.items() if lines} == {}

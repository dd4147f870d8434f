"""A server that knows fewer settings than the newest one is connected to all the same."""

from types import SimpleNamespace
from typing import Any

import psycopg
import pytest

from waybill.database import postgres_client

UNKNOWN = 'FATAL:  unrecognized configuration parameter "transaction_timeout"'


class Server:
    """What a PostgreSQL of that version answers to the settings of a session; no server of it is at hand everywhere."""

    def __init__(self, version: int) -> None:
        self.version, self.attempts = version, 0

    def connect(self, options: dict[str, Any]) -> Any:
        self.attempts += 1
        if self.version < 17_00_00 and "transaction_timeout" in options["options"]:
            raise psycopg.OperationalError(UNKNOWN)
        return SimpleNamespace(info=SimpleNamespace(server_version=self.version), options=options, close=lambda: None)


@pytest.fixture(autouse=True)
def nothing_remembered(monkeypatch):
    monkeypatch.setattr(postgres_client, "_before_17", set())


def connect(server: Server) -> Any:
    given = postgres_client.parameters("postgresql://u@h/d", "test")
    return postgres_client.connect_to_any_version(server.connect, given)


def test_a_server_before_17_refuses_the_first_connection_of_a_program_alone():
    server = Server(14_00_18)
    for _ in range(3):
        assert "transaction_timeout" not in connect(server).options["options"]
    assert server.attempts == 4


def test_a_server_that_was_upgraded_meanwhile_gets_the_setting():
    server = Server(16_00_04)
    connect(server)
    server.version = 18_00_00
    assert "-c transaction_timeout=0" in connect(server).options["options"]
    assert "-c transaction_timeout=0" in connect(server).options["options"]


def test_any_other_refusal_is_raised():
    def refused(_: dict[str, Any]) -> Any:
        raise psycopg.OperationalError('FATAL:  role "u" does not exist')

    given = postgres_client.parameters("postgresql://u@h/d", "test")
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        postgres_client.connect_to_any_version(refused, given)

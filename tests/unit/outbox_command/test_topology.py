"""Where the command finds a local stack, and how it starts the programs of others."""

import json
import sys
from pathlib import Path

import pytest

from outbox_relay.operations import service_programs
from outbox_relay.operations.names import ServiceName
from outbox_relay.operations.topology import UsageError, find_topology

STATE = {"checkout": "/srv/shop", "databases": {"order": "postgresql://u@h/orders"}, "kafka": "127.0.0.1:9092"}


@pytest.fixture
def stack(tmp_path: Path) -> Path:
    """A folder in which a local stack is up."""
    (tmp_path / ".waybill").mkdir()
    (tmp_path / ".waybill" / "state.json").write_text(json.dumps(STATE))
    return tmp_path


def test_a_local_stack_is_found_from_any_folder_below_it(stack: Path, monkeypatch):
    below = stack / "docs" / "services"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    found = find_topology({})
    assert (found.databases, found.kafka, found.folder) == (STATE["databases"], STATE["kafka"], Path(STATE["checkout"]))


def test_a_local_stack_that_is_named_is_found_from_anywhere(stack: Path, monkeypatch):
    monkeypatch.chdir("/")
    assert find_topology({"WAYBILL_HOME": str(stack / ".waybill")}).databases == STATE["databases"]


def test_nothing_is_found_where_the_command_is_installed(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=f"no databases known, and no {tmp_path}/.waybill/state.json"):
        find_topology({})


def test_programs_start_where_the_command_was_started_if_the_databases_are_told(monkeypatch, stack: Path):
    monkeypatch.chdir(stack)
    assert find_topology({"WAYBILL_OUTBOX_DATABASES": "bookings=postgresql://u@h/bookings"}).folder is None


@pytest.mark.parametrize(
    ("name", "command"),
    [
        (ServiceName("order_service", None), ["waybill", "order_service", "redrive", "--only"]),
        (ServiceName("loyalty", "config.settings"), ["django", "redrive", "--only", "--settings", "config.settings"]),
    ],
)
def test_a_project_runs_its_management_command_and_a_service_its_program(name: ServiceName, command: list[str]):
    assert service_programs._command(name, ["redrive", "--only"]) == [sys.executable, "-m", *command]

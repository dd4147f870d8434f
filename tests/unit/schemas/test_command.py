"""`python -m waybill contracts` ends in a documented exit code and one clear line, whatever is missing."""

import shutil
import socket
import subprocess
from collections.abc import Iterator

import pytest

from waybill.application import application
from waybill.contracts.command import main
from waybill.contracts.contracts import load
from waybill.contracts.topics import topics


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction]
    mine = ("WAYBILL_KAFKA_BOOTSTRAP", "WAYBILL_TOPICS_REPLICATION", "WAYBILL_TOPICS_MIN_INSYNC")
    for name in (*mine, "WAYBILL_REGISTRY_URL", "WAYBILL_OWNER_DATABASE_URLS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def closed_port() -> Iterator[int]:
    """Give a port that is bound, so nobody else takes it, and does not listen."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


def test_check_passes_on_the_contracts_of_today(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check"]) == 0
    assert "every version can be read by every other" in capsys.readouterr().out


def test_generate_check_passes_on_the_files_of_today() -> None:
    assert main(["generate", "--check"]) == 0


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not there")
def test_lint_asks_the_gate() -> None:
    planned = subprocess.run(
        ["make", "-n", "lint"], cwd=application().schemas.parent, capture_output=True, text=True, check=True
    ).stdout
    assert "waybill contracts check" in planned
    assert "catalogue --check" in planned


def test_help_teaches_how_to_add_an_event(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    assert "To add an event: write <schemas>/<topic>/<Event>.v1.avsc" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("step", "variable"),
    [("topics", "WAYBILL_KAFKA_BOOTSTRAP"), ("register", "WAYBILL_OWNER_DATABASE_URLS")],
)
def test_a_missing_variable_is_named(step: str, variable: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([step]) == 2
    assert f"{variable} is not set" in _one_line(capsys)


def test_a_broker_that_is_away_is_named(
    closed_port: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WAYBILL_KAFKA_BOOTSTRAP", f"127.0.0.1:{closed_port}")
    assert main(["topics", "--wait", "0.1"]) == 4
    assert f"Kafka at 127.0.0.1:{closed_port} is not reachable after 0.1 s" in _one_line(capsys)


def test_a_registry_that_is_away_is_named_without_its_password(
    closed_port: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WAYBILL_REGISTRY_URL", f"http://me:hidden@127.0.0.1:{closed_port}/apis/ccompat/v7")
    monkeypatch.setenv("WAYBILL_OWNER_DATABASE_URLS", "postgresql://me:hidden@127.0.0.1/order")
    assert main(["register", "--wait", "0.1"]) == 4
    line = _one_line(capsys)
    assert f"the registry at http://127.0.0.1:{closed_port}/apis/ccompat/v7 is not reachable after 0.1 s" in line
    assert "hidden" not in line


def _one_line(capsys: pytest.CaptureFixture[str]) -> str:
    (line,) = capsys.readouterr().err.splitlines()
    return line


def test_every_topic_of_an_event_is_created_and_no_other() -> None:
    assert {topic.name for topic in topics()} == {contract.topic for contract in load()} - {None}


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({"REPLICATION": "three"}, "WAYBILL_TOPICS_REPLICATION is 'three'; it is a number of brokers from 1 on"),
        ({"MIN_INSYNC": "0"}, "WAYBILL_TOPICS_MIN_INSYNC is '0'"),
        ({"REPLICATION": "2", "MIN_INSYNC": "3"}, "WAYBILL_TOPICS_MIN_INSYNC=3 is more than there are replicas"),
    ],
)
def test_a_number_of_copies_that_makes_no_sense_is_refused(
    variables: dict[str, str], says: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(f"WAYBILL_TOPICS_{name}", value)
    assert main(["topics"]) == 2
    assert says in _one_line(capsys)

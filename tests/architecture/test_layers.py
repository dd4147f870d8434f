"""Who imports whom, by import-linter; and proof on a small copy that each contract is broken by somebody."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from devstack.folder import CHECKOUT
from tests.support.services import PACKAGES, READERS, SERVICES

PURE = ("domain", "reactions")
LINT = Path(sys.executable).with_name("lint-imports")
# A line that breaks the contract of that name → the file that it is added to.
BREAKS = {
    "programs stand side by side on the events, all on waybill": [
        ("order_service/api.py", "import payment_service.domain"),
        ("waybill/observability/health.py", "import catalogue.book"),
        ("waybill/outbox/outbox.py", "import inventory_service.service"),
        ("outbox_relay/relay/session.py", "import order_service.domain"),
        ("outbox_relay/operations/pause.py", "import console_service.settings"),
    ],
    "contracts, registry and topics need no running service": [
        ("waybill/contracts/codec.py", "import waybill.runtime.settings"),
        ("waybill/kafka/create_topics.py", "import waybill.consumer.message"),
    ],
    "deciders and reactions are pure": [
        ("payment_service/domain.py", "import django.db"),
        ("order_service/reactions.py", "import waybill.deciders.unit_of_work"),
        ("inventory_service/domain.py", "import waybill.rest.idempotency"),  # reaches Django one step further on
    ],
    "taking a request reaches no Kafka, even indirectly": [
        ("waybill/outbox/outbox.py", "import confluent_kafka"),  # which every api reaches through the unit of work
        ("order_service/api.py", "import waybill.kafka.create_topics"),
    ],
    "the console knows the services by their events and databases alone": [
        ("console_service/read_model/fold.py", "import order_service.domain")
    ],
    "the relay starts without Django": [("outbox_relay/relay/program/supervising.py", "import waybill.outbox.outbox")],
    "operations take no command line and print nothing": [
        ("outbox_relay/operations/pause.py", "import outbox_relay.cli.screen")
    ],
    "the local stack starts programs, it does not import them": [("devstack/stack.py", "import outbox_relay.settings")],
}


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [str(LINT), "--no-cache", "--no-logo"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=60)


def configured() -> dict[str, Any]:
    return tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["tool"]["importlinter"]


def contracts() -> list[str]:
    return [contract["name"] for contract in configured()["contracts"]]


@pytest.fixture
def copied_tree(tmp_path: Path) -> Path:
    """The sources alone, to break."""
    for package in PACKAGES:
        ignored = shutil.ignore_patterns("__pycache__", "*.avsc")
        shutil.copytree(CHECKOUT / package, tmp_path / package, ignore=ignored)
    shutil.copy(CHECKOUT / "pyproject.toml", tmp_path)
    return tmp_path


def test_every_wall_stands():
    done = lint(CHECKOUT)
    assert done.returncode == 0, done.stdout
    assert all(f"{name} KEPT" in done.stdout for name in contracts())


def test_the_walls_go_round_every_program():
    assert set(configured()["root_packages"]) == set(PACKAGES)
    layers, pure, requests, *_ = configured()["contracts"]
    assert layers["layers"][0] == "catalogue"  # reads all of them, and nobody reads it
    assert set(layers["layers"][1].split(" | ")) == set(READERS)  # on the operations, and nobody stands on them
    assert set(layers["layers"][2].split(" | ")) == {*SERVICES, "outbox_relay"}
    assert set(pure["source_modules"]) == {f"{service}.{module}" for service in SERVICES for module in PURE}
    assert set(requests["source_modules"]) == {f"{service}.api" for service in SERVICES}


def test_every_wall_is_proved():
    assert sorted(BREAKS) == sorted(contracts())


@pytest.mark.parametrize(("contract", "file", "line"), [(w, *each) for w, breaks in BREAKS.items() for each in breaks])
def test_a_contract_refuses_an_import_that_it_forbids(copied_tree, contract, file, line):
    broken = copied_tree / file
    broken.write_text(f"{broken.read_text()}\n\ndef _through() -> None:\n    {line}\n")
    done = lint(copied_tree)
    assert f"{contract} BROKEN" in done.stdout, done.stdout


def test_no_wall_is_passed_by_importing_a_module_by_its_name():
    """A name that is put together at run time is seen by no linter, and a module that is missing by nobody."""
    found = {
        f"{path.relative_to(CHECKOUT)}"
        for package in ("outbox_relay", "waybill")
        for path in sorted((CHECKOUT / package).rglob("*.py"))
        if re.search(r"\b(import_module|__import__|find_spec|run_module)\b", path.read_text())
    }
    # The application's events, which it is told; the service that the command line names; the outbox's own migrations,
    # whose names begin with a digit.
    assert found == {"waybill/application.py", "waybill/runtime/program.py", "waybill/outbox/printing.py"}

"""A fifth service is one command: what it writes passes lint and its tests, and runs with the others."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from devstack.folder import CHECKOUT
from devstack.harness.stack import order_at_rest, running, sent
from devstack.harness.wait import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
STEPS = [
    "waybill startservice billing --on OrderConfirmed",
    "waybill contracts release",
    "catalogue",
    "tests.support.golden",
]
TESTS = " ".join(
    f"tests/architecture/test_{name}.py" for name in ("service_layout", "pages", "compose", "catalogue", "kubernetes")
)
LINT = [
    "ruff format --check",
    "ruff check",
    "basedpyright",
    "waybill contracts check",
    "catalogue --check",
    f"pytest -q -n0 -p no:cacheprovider tests/unit/billing_service {TESTS}",
]
ORDER = {"lines": [{"sku": "LAMP-01", "quantity": 1}], "payment_method": "tok_ok"}


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The files of this checkout, with its environment."""
    names = subprocess.check_output(["git", "ls-files", "-z"], cwd=CHECKOUT, text=True).split("\0")
    for name in filter(None, names):
        if (CHECKOUT / name).is_file():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(CHECKOUT / name, tmp_path / name)
    (tmp_path / ".venv").symlink_to(Path(sys.executable).parents[1])
    for command in (["git", "init", "-q"], ["git", "add", "-A", ":!.venv"]):
        subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    return tmp_path


def run(copy: Path, module: str) -> None:
    environment = {**os.environ, "PYTHONPATH": str(copy), "PYTEST_ADDOPTS": ""}
    command = [sys.executable, "-m", *module.split()]
    done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, f"{module}: {done.stdout[-3000:]}{done.stderr[-2000:]}"


def test_a_service_that_was_just_started_passes_lint_and_its_tests_and_reacts_to_the_others(
    copy: Path, tmp_path_factory: pytest.TempPathFactory
):
    for step in [*STEPS, *LINT]:
        run(copy, step)
    home = tmp_path_factory.mktemp("home")
    with running(home, copy, PYTHONPATH=str(copy)) as stack:
        with stack.client("order") as orders:
            placed = sent(orders.post("/v1/orders", json=ORDER, headers={"Idempotency-Key": "one-order"}), 202)
            assert order_at_rest(orders, placed["id"])["status"] == "CONFIRMED"
        with stack.client("billing", stack.token("staff", "billings")) as billings:
            place = f"/v1/billings/{placed['id']}"

            def look() -> Any:
                answer = billings.get(place)
                return answer.json() if answer.status_code == 200 else None

            opened = wait_until(look, deadline_seconds=60, what="the billing of the order")
            assert opened == {"billing_id": placed["id"], "status": "OPEN"}
            assert sent(billings.delete(place), 204) is None
            assert sent(billings.get(place), 200)["status"] == "CLOSED"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["Billing"], "'Billing': a service is named by one word in lower-case letters"),
        (["billing", "--on", "OrderPlacd"], "no event 'OrderPlacd' is published; there are "),
        (["billing", "--on", "ProductListed"], "the key of ProductListed is sku, which is no uuid"),
        (["order"], "is there already; nothing was written"),
    ],
)
def test_what_cannot_be_meant_is_named_and_nothing_is_written(copy: Path, arguments: list[str], said: str):
    command = [sys.executable, "-m", "waybill", "startservice", *arguments]
    done = subprocess.run(command, cwd=copy, capture_output=True, text=True, timeout=60, check=False)
    changed = subprocess.check_output(["git", "status", "--short", ":!.venv"], cwd=copy, text=True)
    changed = [line for line in changed.splitlines() if not line.startswith("A ")]
    assert (done.returncode, said in done.stderr, changed) == (1, True, [])

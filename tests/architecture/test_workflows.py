"""The workflows: a change starts what it can break and no more, and actionlint has nothing to say."""

import re
import subprocess

import pytest
import yaml

from catalogue import workflows
from devstack.folder import CHECKOUT
from devstack.services import EVERY
from tests.support import toolchains
from tests.support.reaching import reaching

FILES = {path: yaml.safe_load(text) for path, text in workflows.workflows().items()}
ALWAYS = yaml.safe_load((workflows.FOLDER / "contracts.yml").read_text())
MANIFESTS = yaml.safe_load((workflows.FOLDER / "kubernetes.yml").read_text())
TRIGGERS = True  # YAML 1.1 reads the key `on` so


def started_by(changed: str) -> set[str]:
    """The services whose workflow a changed file starts, as GitHub matches it: the last pattern that fits decides."""
    found = set()
    for path, workflow in FILES.items():
        starts = False
        for pattern in workflow[TRIGGERS]["pull_request"]["paths"]:
            expression = re.escape(pattern.removeprefix("!")).replace(r"\*\*", ".*").replace(r"\*", "[^/]*")
            if re.fullmatch(expression, changed):
                starts = not pattern.startswith("!")
        if starts:
            found.add(path.stem)
    return found


@pytest.mark.parametrize("service", EVERY.values(), ids=lambda service: service.name)
def test_a_change_in_a_service_starts_its_own_workflow_alone(service):
    for changed in (f"{service.package}/settings.py", f"tests/unit/{service.package}/test_new.py"):
        assert started_by(changed) == {service.name}, changed


@pytest.mark.parametrize(
    "changed",
    [
        *("waybill/outbox/append.py", "waybill/__main__.py", "schemas/order.events.v1/OrderPlaced.v1.avsc"),
        *("uv.lock", "deploy/Dockerfile", "devstack/parts.py", "services.toml", "tests/integration/test_worker.py"),
    ],
)
def test_a_change_in_what_all_stand_on_starts_all(changed):
    assert started_by(changed) == set(EVERY)


def test_a_change_in_the_relay_starts_those_that_have_one():
    with_relay = {name for name, service in EVERY.items() if "relay" in service.programs}
    assert with_relay <= started_by("outbox_relay/relay/program/serving.py")


@pytest.mark.parametrize("changed", ["docs/tour.md", "waybill/rest_backend/base.py", "examples/saga/README.md"])
def test_a_change_in_what_no_service_runs_on_starts_none(changed):
    assert started_by(changed) == set()


def test_what_a_service_imports_from_another_starts_its_workflow_too():
    """The folders follow from imports, and not from a list."""
    modules = {"order_service.domain", "waybill.rest_backend.base"}
    assert workflows.folders(modules) == ["order_service/**", "waybill/rest_backend/**"]


def test_contracts_are_checked_at_every_change():
    assert ALWAYS[TRIGGERS]["pull_request"] is None
    assert [step["run"] for step in ALWAYS["jobs"]["contracts"]["steps"] if "run" in step] == ["make contracts"]


def test_manifests_are_rendered_at_every_change():
    """What they follow from is in every folder: settings, services.toml, topics, figures."""
    assert MANIFESTS[TRIGGERS]["pull_request"] is None
    (step,) = [step["run"] for step in MANIFESTS["jobs"]["kubernetes"]["steps"] if "run" in step]
    (file,) = re.findall(r"tests/\S+\.py", step)
    assert (CHECKOUT / file).is_file()


@pytest.mark.parametrize("workflow", [*FILES.values(), ALWAYS, MANIFESTS], ids=lambda workflow: workflow["name"])
def test_a_workflow_needs_no_secret_and_may_change_nothing(workflow):
    assert workflow["permissions"] == {"contents": "read"}
    assert "secrets." not in yaml.safe_dump(workflow)


def test_every_action_is_pinned_by_its_commit():
    for path in workflows.FOLDER.glob("*.yml"):
        used = re.findall(r"uses: (\S+)", path.read_text())
        assert used
        assert all(re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", one) for one in used), path


def test_there_is_no_workflow_of_a_service_that_is_gone():
    assert {path.stem for path in workflows.FOLDER.glob("*.yml")} == {*EVERY, "contracts", "kubernetes"}


@pytest.mark.parametrize("service", EVERY.values(), ids=lambda service: service.name)
def test_the_tests_that_a_workflow_runs_are_the_services_own_and_others(service):
    files = reaching(service.package)
    own = (f"tests/unit/{service.package}/", f"tests/integration/{service.name}/")
    assert [file for file in files if file.startswith(own)]
    assert all((CHECKOUT / file).is_file() for file in files)


def test_actionlint_finds_nothing():
    program = toolchains.go(CHECKOUT / "tests" / "support" / "actionlint", "actionlint", "actionlint")
    files = [str(path) for path in sorted(workflows.FOLDER.glob("*.yml"))]
    done = subprocess.run([program, *files], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (0, "")

"""The plan of the stack holds together: whatever a part waits for exists, and nobody is told another's secret."""

import json
from pathlib import Path

import pytest

from devstack import parts, stack
from devstack.errors import DevstackError
from devstack.folder import Folder
from devstack.infrastructure import gateway
from devstack.infrastructure.postgres import ROLES
from devstack.parts import Part, Site, Step
from devstack.services import EVERY, SERVICES


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "stack")


def site_of(folder: Folder, chosen: tuple[str, ...], **given: str) -> Site:
    ports = {name: 20_000 + n for n, name in enumerate(parts.port_names(chosen))}
    roles = [f"{service}_{role}" for service in EVERY for role in ROLES]
    secrets = {name: f"secret-of-{name}" for name in ("postgres", "kafka", *roles)}
    return stack.make_site(folder, ports, secrets, given)


def plan_of(folder: Folder, only: str = "", **given: str) -> dict[str, Part | Step]:
    chosen = tuple(name for name in parts.select(only) if name not in given)
    homes = {"kafka": folder.path, "registry": folder.path}
    plan, _ = stack.make_plan(site_of(folder, chosen, **given), folder, chosen, homes)
    assert len({task.name for task in plan}) == len(plan)
    return {task.name: task for task in plan}


@pytest.mark.parametrize("only", ["", "postgres", "order", "payment.worker", "kafka,mailbox"])
def test_everything_that_a_part_waits_for_is_in_the_plan(folder, only):
    plan = plan_of(folder, only)
    for task in plan.values():
        assert task.needs <= plan.keys(), task.name


def test_what_others_supply_is_neither_started_nor_waited_for(folder):
    plan = plan_of(folder, postgres="postgresql://u:p@db/x", kafka="k:9092", registry="http://r/apis/ccompat/v7")
    assert not plan.keys() & {"postgres", "kafka", "registry"}
    for task in plan.values():
        assert task.needs <= plan.keys(), task.name
    assert plan["order.web"].environment["WAYBILL_DATABASE_URL"].endswith("@db/order")
    assert plan["schemas"].environment["WAYBILL_REGISTRY_URL"] == "http://r/apis/ccompat/v7"


def test_the_programs_have_the_names_that_tools_know():
    assert parts.names() == (
        "postgres", "kafka", "registry", "provider", "mailbox",
        "order.web", "order.consumer", "order.relay", "order.worker",
        "inventory.web", "inventory.consumer", "inventory.relay",
        "payment.web", "payment.consumer", "payment.relay", "payment.worker",
        "notification.web", "notification.consumer", "notification.relay", "notification.worker",
        "console.web", "console.consumer",
    )  # fmt: skip


def test_a_program_knows_the_password_of_its_own_role_only(folder):
    for name, task in plan_of(folder).items():
        service, _, kind = name.partition(".")
        if service not in EVERY:
            continue
        role = {"migrate": "owner", "relay": "relay"}.get(kind, "service")
        told = "\n".join(task.environment.values())
        passwords = {f"secret-of-{each}_{own}" for each in EVERY for own in ROLES}
        shown = SERVICES if name == "console.web" else ()  # it shows, and mends, what stands in all of them
        wanted = {f"secret-of-{service}_{role}", *(f"secret-of-{each}_service" for each in shown)}
        assert {password for password in passwords if password in told} == wanted, name


def test_no_two_programs_share_a_port(folder):
    told = [task.environment for task in plan_of(folder).values()]
    used = [one[name] for one in told for name in ("WAYBILL_PORT", "WAYBILL_HEALTH_PORT") if name in one]
    programs = [name for name in parts.names() if "." in name]
    assert len(used) == len(set(used)) == len(programs) + len([name for name in programs if name.endswith(".web")])


def test_a_service_brings_what_it_needs():
    assert parts.select("payment.worker") == ("postgres", "kafka", "registry", "provider", "payment.worker")
    assert parts.select("mailbox") == ("mailbox",)


def test_the_gateway_is_of_a_whole_stack_and_of_one_that_names_it_and_can_be_left_out(folder):
    assert set(parts.select("", gateway=True)) - set(parts.names()) == {"gateway"}
    assert parts.select("") == parts.names()
    assert "gateway" not in parts.select("order", gateway=True)
    assert parts.select("gateway") == ("gateway",)
    site = site_of(folder, parts.select("gateway,payment.web"))
    folder.data.mkdir(parents=True)
    gateway.prepare(site, folder)
    backends = json.loads((folder.data / "gateway.json").read_text())["backends"]
    assert backends["waybill-payment/web"] == f"127.0.0.1:{site.ports['payment.web']}"
    assert backends["waybill-order/web"] == gateway.NOBODY


def test_an_unknown_part_is_named():
    with pytest.raises(DevstackError, match="'nonsense'"):
        parts.select("postgres,nonsense")


def test_doors_stop_before_relays_and_relays_before_what_they_use(folder):
    tiers = {name: task.tier for name, task in plan_of(folder).items() if isinstance(task, Part)}
    tiers |= {one.name: one.tier for one in plan_of(folder, "gateway").values() if isinstance(one, Part)}
    assert tiers["gateway"] > tiers["order.web"] > tiers["order.relay"] > tiers["kafka"] > tiers["postgres"]


def test_a_step_is_done_again_when_its_code_or_the_lock_changes(folder, tmp_path, monkeypatch):
    step = plan_of(folder)["order.migrate"]
    assert isinstance(step, Step)
    for package in step.kept_by_data:
        (tmp_path / package).mkdir()
    (tmp_path / "uv.lock").write_text("one")
    monkeypatch.setattr(parts, "CHECKOUT", tmp_path)
    digests = [parts.digest(step)]
    (tmp_path / "order_service" / "models.py").write_text("x = 1")
    digests.append(parts.digest(step))
    (tmp_path / "uv.lock").write_text("two")
    digests.append(parts.digest(step))
    assert len(set(digests)) == 3
    assert parts.digest(step) == digests[-1]


def test_programs_do_not_inherit_what_would_mislead_them():
    environment = {"PATH": "/bin", "PGPASSWORD": "x", "DJANGO_SETTINGS_MODULE": "x", "WAYBILL_ORDER_X": "1"}
    assert parts.inherited(environment) == {"PATH": "/bin", "WAYBILL_ORDER_X": "1"}

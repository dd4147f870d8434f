"""The images and the compose file on an engine; `-m containers` runs it, where there is one."""

import pytest

from tests.containers import composed, images, stand_ins
from tests.containers.composed import SERVICES
from tests.containers.engine import CommandFailed, Engine, why_not
from tests.containers.scenario import play

# Making the stand-ins takes minutes, once.
pytestmark = [pytest.mark.containers, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def engine():
    if reason := why_not():
        pytest.skip(reason)
    engine = Engine.prepared()
    stand_ins.make(engine)
    images.build(engine)
    return engine


def test_hadolint_has_nothing_to_say_of_any_dockerfile(engine):
    assert images.lint(engine) == 4


def test_the_bill_of_materials_lists_what_is_installed_and_no_more(engine):
    assert images.listed(images.bill_of_materials(engine)) == images.installed(engine)


def test_every_package_of_the_bill_of_materials_has_a_licence(engine):
    components = images.bill_of_materials(engine)["components"]
    assert [one["name"] for one in components if not one.get("licenses")] == []


def test_the_image_runs_as_a_user_without_rights_and_nothing_in_it_can_be_changed(engine):
    assert images.in_image(engine, "id", "--user").strip() == "10001"
    for path in ("/app/new", "/opt/waybill/new", "/new"):
        with pytest.raises(CommandFailed, match="Read-only file system"):
            images.in_image(engine, "touch", path)


def test_the_programs_image_has_nothing_of_the_simulated_outside(engine):
    assert "devstack" not in images.in_image(engine, "ls", "/app").split()


def test_a_program_that_is_stopped_while_it_starts_ends_at_once(engine):
    code, seconds = images.stopped_while_starting(engine)
    assert code == images.TERMINATED
    assert seconds < 10


def test_the_compose_file_comes_up_in_order_confirms_orders_beside_kills_and_leaves_nothing(engine):
    if taken := composed.ports_taken():
        pytest.skip(f"published ports are taken: {'; '.join(taken)}")
    seen = play(engine)
    assert seen.order == "CONFIRMED"
    assert seen.beside == ["CONFIRMED"] * 2 * len(seen.killed)
    assert seen.settled.keys() == SERVICES.keys()
    for name, one in SERVICES.items():
        assert all(seen.settled[other] < seen.settled[name] for other in one.get("depends_on", {})), name
    assert set(seen.users.values()) == {"waybill"}
    became = {name: command for name, command in seen.first.items() if not command.startswith("python -m ")}
    assert list(became) == ["gateway"], seen.first
    assert "/envoy -c /tmp/gateway/" in became["gateway"]  # in the place of the program that compiled
    assert {name: code for name, code in seen.ended.items() if code} == {}, "exit codes of programs that were stopped"
    assert seen.left == []

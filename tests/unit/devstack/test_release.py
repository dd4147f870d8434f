"""What `make release` refuses before it touches anything, and the code that it takes."""

import shutil
from pathlib import Path

import pytest

from devstack.errors import DevstackError
from devstack.folder import Folder
from devstack.release import __main__ as command
from devstack.release import records, rolling, sources
from devstack.release.records import Record
from devstack.services import EVERY
from tests.release import versions


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    folder = Folder(tmp_path / "stack")
    folder.path.mkdir()
    folder.run.mkdir()
    return folder


def refusal(folder: Folder, *arguments: str) -> str:
    with pytest.raises(DevstackError) as refused:
        command.run(folder, command.parser().parse_args(arguments))
    return str(refused.value)


def test_a_service_that_is_not_there_is_refused_by_name(folder: Folder):
    said = refusal(folder, "shipping")
    assert said == "no service is called 'shipping'; choose from order, inventory, payment, notification, console"


def test_a_program_that_the_service_does_not_have_is_refused(folder: Folder):
    assert refusal(folder, "inventory", "--until", "worker").startswith("inventory has no worker; it has web, ")


def test_without_a_stack_the_command_to_start_one_is_named(folder: Folder):
    assert refusal(folder, "order") == f"nothing is running in {folder.path}; start it with make up"


def test_the_programs_are_released_web_first_and_relay_last():
    names = [f"order.{program}" for program in EVERY["order"].programs]
    assert rolling.in_sequence(names) == ["order.web", "order.consumer", "order.worker", "order.relay"]


def test_the_code_of_a_release_is_the_same_folder_until_a_file_changes(folder: Folder, tmp_path: Path):
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    versions.copied(checkout, "order")
    first = sources.taken(folder, EVERY["order"], checkout)
    assert sources.taken(folder, EVERY["order"], checkout) == first
    with (checkout / "order_service" / "api.py").open("a") as file:
        file.write("# changed\n")
    second = sources.taken(folder, EVERY["order"], checkout)
    assert second != first
    assert "# changed" not in (first / "order_service" / "api.py").read_text()
    assert not (second / "payment_service").exists()


def test_a_folder_without_the_service_and_one_with_other_packages_are_refused(folder: Folder, tmp_path: Path):
    with pytest.raises(DevstackError, match=r"has no pyproject.toml: give the folder of a checkout"):
        sources.taken(folder, EVERY["order"], tmp_path)
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    versions.copied(checkout, "order")
    with (checkout / "uv.lock").open("a") as file:
        file.write("# another\n")
    with pytest.raises(DevstackError, match=r"its uv.lock names other packages"):
        sources.taken(folder, EVERY["order"], checkout)
    assert list(folder.releases.iterdir()) == []


def test_a_revision_that_is_not_there_is_refused(folder: Folder):
    if not shutil.which("git"):
        pytest.skip("no git")
    with pytest.raises(DevstackError, match=r"no revision 'nowhere'"):
        sources.of_revision(folder, EVERY["order"], "nowhere")


def test_what_was_released_is_kept_beside_what_others_wrote(folder: Folder):
    folder.state_file.write_text('{"kafka": "here"}')
    assert records.read(folder, "order") is None
    record = Record(source="/new", before="/old", under_way=True)
    records.write(folder, "order", record)
    assert records.read(folder, "order") == record
    assert '"kafka": "here"' in folder.state_file.read_text()

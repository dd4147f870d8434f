"""A template holds the data of the checkout as it is now; a start that cannot have one does every step itself."""

from pathlib import Path

import pytest

from devstack import stack
from devstack.cache import artifacts, template
from devstack.errors import DevstackError
from devstack.folder import CHECKOUT, Folder

WHOLE = ("postgres", "kafka", "registry", "order.web")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    artifacts.cache().mkdir(parents=True)
    return artifacts.cache()


@pytest.fixture
def checkout(tmp_path, monkeypatch) -> Path:
    made = tmp_path / "checkout"
    for name in ("order_service/migrations", "waybill/outbox/migrations", "schemas/order.events.v1", "waybill/rest"):
        (made / name).mkdir(parents=True)
    monkeypatch.setattr(template, "CHECKOUT", made)
    return made


def kept(owner: Path | str, name: str) -> Path:
    made = artifacts.cache() / f"template-{name}"
    made.mkdir()
    (made / template.OWNER).write_text(f"{owner}\n")
    return made


@pytest.mark.parametrize(
    "file",
    [
        "order_service/migrations/0002_more.py",
        "waybill/outbox/migrations/0009_more.py",
        "schemas/order.events.v1/OrderPlaced.2.avsc",
        "schemas/topics.toml",
        "services.toml",
        "uv.lock",
    ],
)
def test_a_migration_a_schema_or_a_version_makes_another_template(checkout, file):
    before = template.path()
    (checkout / file).write_text("new")
    assert template.path() != before


def test_other_code_keeps_the_template(checkout):
    before = template.path()
    (checkout / "waybill" / "rest" / "http.py").write_text("new")
    assert template.path() == before


def test_no_stale_template_of_this_checkout_stays_and_no_other_goes(tmp_path):
    current, stale = kept(CHECKOUT, "current"), kept(CHECKOUT, "stale")
    elsewhere, orphan = kept(tmp_path, "elsewhere"), kept(tmp_path / "gone", "orphan")
    template.remove_stale(current)
    assert [each.exists() for each in (current, elsewhere, stale, orphan)] == [True, True, False, False]


def test_a_start_without_a_template_does_every_step_itself(tmp_path, monkeypatch, capsys):
    def failing(*_: object) -> None:
        raise DevstackError("no room")

    monkeypatch.setattr(stack, "make_template", failing)
    folder = Folder(tmp_path / "stack")
    folder.path.mkdir()
    assert stack.take_template(folder, stack.make_site(folder, {}, {}, {}), {}) == {}
    assert "no room" in capsys.readouterr().err
    assert not any(target.exists() for target in template.data(folder).values())


@pytest.mark.parametrize(
    ("own", "given", "whole"),
    [
        (WHOLE, {}, True),
        (WHOLE[:-1], {}, False),
        (WHOLE[1:], {"postgres": "postgresql://elsewhere/x"}, False),
        (("postgres", "provider"), {}, False),
    ],
)
def test_only_a_stack_with_all_of_its_own_parts_begins_with_a_template(own, given, whole):
    assert stack.is_whole(own, given) is whole

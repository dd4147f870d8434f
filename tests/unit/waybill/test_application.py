"""The library is told of its application in one place, and says where when it was not."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from django.test import override_settings

from devstack.folder import CHECKOUT
from waybill import application
from waybill.application import Application, ApplicationUnknown
from waybill.contracts.fields import ContractError
from waybill.contracts.topics import FOR_EVER, Topic, load
from waybill.outbox.checks import check_settings


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A project's folder below the working directory's root, with nothing told yet."""
    folder = tmp_path / "project" / "deep"
    folder.mkdir(parents=True)
    (tmp_path / "project" / "schemas").mkdir()
    monkeypatch.chdir(folder)
    application.forget()
    yield tmp_path / "project"
    monkeypatch.undo()
    application.forget()


def test_the_next_pyproject_above_that_tells_it_counts(elsewhere: Path):
    told = '[tool.waybill]\nschemas = "schemas"\nevents = "a.events"\ndocument = "docs/events.md"\n'
    (elsewhere / "pyproject.toml").write_text(told)
    (elsewhere / "deep" / "pyproject.toml").write_text('[project]\nname = "a part"\n')
    wanted = Application("a.events", elsewhere / "schemas", elsewhere / "docs/events.md")
    assert application.application() == wanted


def test_the_environment_counts_before_a_file_and_django_before_both(elsewhere: Path, monkeypatch: pytest.MonkeyPatch):
    (elsewhere / "pyproject.toml").write_text('[tool.waybill]\nschemas = "nowhere"\n')
    monkeypatch.setenv("WAYBILL_SCHEMAS", str(elsewhere))
    assert application.application() == Application(None, elsewhere)
    schemas = elsewhere / "schemas"
    settings = SimpleNamespace(configured=True, WAYBILL={"EVENTS": "b.events", "SCHEMAS": schemas})
    monkeypatch.setitem(application.sys.modules, "django.conf", SimpleNamespace(settings=settings))
    application.forget()
    assert application.application() == Application("b.events", schemas)


@pytest.mark.parametrize(
    ("told", "said"),
    [
        (None, "nothing names the folder of the schemas .*tool.waybill.*WAYBILL = .*'SCHEMAS'.*manage.py contracts"),
        ('[tool.waybill]\nevents = "a"\n', "'schemas' is missing"),
        ('[tool.waybill]\nschemas = "shemas"\n', "schemas = 'shemas': there is no folder .*/project/shemas"),
        ("[tool.waybill\n", "pyproject.toml: "),
    ],
)
def test_what_is_not_told_or_wrong_is_named_with_its_place(elsewhere: Path, told: str | None, said: str):
    if told:
        (elsewhere / "pyproject.toml").write_text(told)
    with pytest.raises(ApplicationUnknown, match=said):
        application.application()


def test_event_classes_that_are_not_written_yet_are_named_with_the_command_that_writes_them(elsewhere: Path):
    with pytest.raises(ApplicationUnknown, match=r"'a\.events': there is no such module; .*contracts generate"):
        Application("a.events", elsewhere).events_module()
    with pytest.raises(ApplicationUnknown, match="there is no package 'a'"):
        _ = Application("a.events", elsewhere).events_file


@pytest.mark.parametrize("missing", ["SERVICE", "EVENTS", "SCHEMAS"])
def test_a_setting_that_a_django_project_has_not_told_is_an_error_of_its_check(missing: str):
    told = {"SERVICE": "bookings", "EVENTS": "schemas.events", "SCHEMAS": CHECKOUT / "schemas"}
    application.forget()
    try:
        with override_settings(WAYBILL=told):
            assert [one.id for one in check_settings(None)] == []
        application.forget()
        with override_settings(WAYBILL={name: value for name, value in told.items() if name != missing}):
            (found,) = check_settings(None)
    finally:
        application.forget()
    assert (found.id, missing.lower() in found.msg.lower()) == ("waybill.E002", True)


@pytest.fixture
def schemas(tmp_path: Path) -> Path:
    for folder in ("b.v1", "a.v1", "a.private"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "It.v1.avsc").write_text("{}")
    return tmp_path


def test_each_folder_is_a_topic_with_what_the_file_says_of_it(schemas: Path):
    assert load(schemas) == (Topic(name="a.v1"), Topic(name="b.v1"))
    (schemas / "topics.toml").write_text('["b.v1"]\npartitions = 12\nretention_days = -1\n')
    assert load(schemas) == (Topic(name="b.v1", partitions=12, retention_days=FOR_EVER), Topic(name="a.v1"))


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ('["c.v1"]\n', r"topics\.toml: \['c\.v1'\]: there is no folder c\.v1/"),
        ('["a.v1"]\npartition = 3\n', r"\['a\.v1'\] partition: a topic has partitions, retention_days, max_message"),
        ('["a.v1"]\nwritten_by = ""\n', "written_by = '': it is the name of another project"),
        ('["a.v1"]\npartitions = 0\n', "partitions = 0: it is a whole number from 1 on"),
        ('["a.v1"]\nretention_days = true\n', "retention_days = True"),
        ('"a.v1" = 3\n', "'a.v1' is 3; write a table"),
        ("[\n", "topics.toml: "),
    ],
)
def test_a_mistake_in_the_file_of_topics_is_named(schemas: Path, told: str, said: str):
    (schemas / "topics.toml").write_text(told)
    with pytest.raises(ContractError, match=said):
        load(schemas)


def test_what_is_personal_is_told_as_a_list_or_in_the_environment_by_commas(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch
):
    (elsewhere / "pyproject.toml").write_text('[tool.waybill]\nschemas = "schemas"\npersonal = ["name", "mail"]\n')
    assert application.application().personal == {"name", "mail"}
    monkeypatch.setenv("WAYBILL_SCHEMAS", str(elsewhere / "schemas"))
    application.forget()
    assert application.application().personal is None
    monkeypatch.setenv("WAYBILL_PERSONAL", "name, mail")
    application.forget()
    assert application.application().personal == {"name", "mail"}


def test_what_is_personal_must_be_names(elsewhere: Path):
    (elsewhere / "pyproject.toml").write_text('[tool.waybill]\nschemas = "schemas"\npersonal = [7]\n')
    with pytest.raises(ApplicationUnknown, match=r"personal = \[7\]: write the names of fields"):
        application.application()

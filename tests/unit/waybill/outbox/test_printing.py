"""The outbox as SQL, for teams whose migrations are not Django's."""

import pytest

from tests.support.reviews import EXAMPLE
from waybill.outbox import printing


def printed(capsys, *arguments):
    printing.main(arguments)
    return capsys.readouterr().out


def test_the_examples_migration_is_what_is_printed(capsys):
    assert (EXAMPLE / "migrations" / "0002_outbox.sql").read_text() == printed(capsys, "tables", "reviews")


def test_a_database_that_has_the_first_steps_takes_those_that_follow(capsys):
    names = [name for name, _ in printing.steps()]
    assert names == sorted(names)
    whole, *rest = (printed(capsys, "tables", "reviews", *after) for after in ((), ("--after", names[0])))
    for name in names:
        assert f"-- Step {name}\n" in whole
        assert (f"-- Step {name}\n" in rest[0]) == (name != names[0])
    last = printed(capsys, "tables", "reviews", "--after", names[-1])
    assert "CREATE" not in last
    assert "'reviews'" in last


@pytest.mark.parametrize("name", ["re views", "x'; DROP TABLE reviews", "x\nDROP TABLE reviews", ""])
def test_a_name_that_is_none_is_refused(capsys, name):
    with pytest.raises(SystemExit) as refused:
        printed(capsys, "tables", name)
    assert refused.value.code == 2
    assert "letters, digits, underscores and hyphens" in capsys.readouterr().err


def test_a_roles_name_is_quoted(capsys):
    assert 'TO "odd ""one""";' in printed(capsys, "rights", "--writer", 'odd "one"', "--relay", "relay")

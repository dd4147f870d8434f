"""`--help` teaches: an example for each verb, which the command itself understands."""

import re
import shlex

import pytest

from outbox_relay import command
from tests.house import CHECKOUT

PAGES = ("docs/outbox-command.md", "docs/runbook.md", "docs/relay.md", "README.md")
TEXT = "\n".join((CHECKOUT / page).read_text() for page in PAGES)
SHOWN = re.findall(r"`outbox ([a-z].*?)`", TEXT) + re.findall(r"^    outbox (.*)$", TEXT, re.MULTILINE)


@pytest.mark.parametrize("verb", command.VERBS)
def test_every_verb_has_an_example_that_parses(verb: str, capsys: pytest.CaptureFixture[str]):
    program, *arguments = shlex.split(command.VERBS[verb].example)
    assert (program, arguments[0]) == ("outbox", verb)
    assert command._parser().parse_args(arguments).verb == verb
    with pytest.raises(SystemExit) as left:
        command._parser().parse_args([verb, "--help"])
    assert left.value.code == 0
    assert command.VERBS[verb].example in capsys.readouterr().out


@pytest.mark.parametrize("verb", command.VERBS)
def test_every_verb_has_a_row_on_the_page_of_the_command(verb: str):
    assert re.search(rf"^\| `{verb}[` ]", (CHECKOUT / PAGES[0]).read_text(), re.MULTILINE)


@pytest.mark.parametrize("shown", SHOWN)
def test_what_the_pages_show_is_understood(shown: str):
    verb, *more = shlex.split(shown, comments=True)
    if more:
        assert command._parser().parse_args([verb, *more]).verb == verb
    else:
        assert verb in command.VERBS


@pytest.mark.parametrize("arguments", [[], ["lost"], ["list", "--limit", "0"], ["status", "--threshold", "soon"]])
def test_what_cannot_be_understood_is_one_line_and_2(arguments: list[str], capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as left:
        command._parser().parse_args(arguments)
    said = capsys.readouterr()
    assert (left.value.code, said.out, len(said.err.splitlines())) == (command.USAGE, "", 1)
    assert said.err.endswith("--help\n")

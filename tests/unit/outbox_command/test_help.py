"""`--help` teaches: an example for each verb, which the command itself understands."""

import re
import shlex

import pytest

from outbox_relay import command
from tests.house import CHECKOUT

PAGES = ("docs/outbox-command.md", "docs/runbook.md", "docs/relay.md", "README.md")
SHOWN = [shown for page in PAGES for shown in re.findall(r"`outbox ([a-z].*?)`", (CHECKOUT / page).read_text())]


@pytest.mark.parametrize("verb", command.VERBS)
def test_every_verb_has_an_example_that_parses(verb: str, capsys: pytest.CaptureFixture[str]):
    program, *arguments = shlex.split(command.VERBS[verb].example)
    assert (program, arguments[0]) == ("outbox", verb)
    assert command._parser().parse_args(arguments).verb == verb
    with pytest.raises(SystemExit) as left:
        command._parser().parse_args([verb, "--help"])
    assert left.value.code == 0
    assert command.VERBS[verb].example in capsys.readouterr().out


@pytest.mark.parametrize("shown", SHOWN)
def test_what_the_pages_show_is_understood(shown: str):
    verb, *more = shlex.split(shown)
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

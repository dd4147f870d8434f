"""`--help` teaches: an example for each verb, which the command itself understands."""

import shlex

import pytest

from outbox_relay import command


@pytest.mark.parametrize("verb", command.VERBS)
def test_every_verb_has_an_example_that_parses(verb: str, capsys: pytest.CaptureFixture[str]):
    program, *arguments = shlex.split(command.VERBS[verb].example)
    assert (program, arguments[0]) == ("outbox", verb)
    assert command._parser().parse_args(arguments).verb == verb
    with pytest.raises(SystemExit) as left:
        command._parser().parse_args([verb, "--help"])
    assert left.value.code == 0
    assert command.VERBS[verb].example in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [[], ["lost"], ["list", "--limit", "0"], ["status", "--threshold", "soon"]])
def test_what_cannot_be_understood_leaves_with_2(arguments: list[str]):
    with pytest.raises(SystemExit) as left:
        command._parser().parse_args(arguments)
    assert left.value.code == command.USAGE

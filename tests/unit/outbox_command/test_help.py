"""`--help` teaches: an example for each verb, which the command itself understands. What it does not is refused."""

import argparse
import re
import shlex

import pytest

from devstack.folder import CHECKOUT
from outbox_relay.cli import command
from outbox_relay.cli.verb import read_filter
from outbox_relay.operations.events import listing
from outbox_relay.operations.topology import UsageError

PAGES = ("docs/outbox-command.md", "docs/runbook.md", "docs/relay.md", "README.md")
TEXT = "\n".join((CHECKOUT / page).read_text() for page in PAGES)
SHOWN = re.findall(r"`outbox ([a-z].*?)`", TEXT) + re.findall(r"^    outbox (.*)$", TEXT, re.MULTILINE)


@pytest.mark.parametrize("verb", command.verbs())
def test_every_verb_has_an_example_that_parses(verb: str, capsys: pytest.CaptureFixture[str]):
    program, *arguments = shlex.split(command.verbs()[verb].example)
    assert (program, arguments[0]) == ("outbox", verb)
    assert command._parser().parse_args(arguments).verb == verb
    with pytest.raises(SystemExit) as left:
        command._parser().parse_args([verb, "--help"])
    assert left.value.code == 0
    assert command.verbs()[verb].example in capsys.readouterr().out


@pytest.mark.parametrize("verb", command.verbs())
def test_every_verb_has_a_row_on_the_page_of_the_command(verb: str):
    assert re.search(rf"^\| `{verb}[` ]", (CHECKOUT / PAGES[0]).read_text(), re.MULTILINE)


@pytest.mark.parametrize("shown", SHOWN)
def test_what_the_pages_show_is_understood(shown: str):
    verb, *more = shlex.split(shown, comments=True)
    if more:
        assert command._parser().parse_args([verb, *more]).verb == verb
    else:
        assert verb in command.verbs()


@pytest.mark.parametrize("arguments", [[], ["lost"], ["list", "--limit", "0"], ["status", "--threshold", "soon"]])
def test_what_cannot_be_understood_is_one_line_and_2(arguments: list[str], capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as left:
        command._parser().parse_args(arguments)
    said = capsys.readouterr()
    assert (left.value.code, said.out, len(said.err.splitlines())) == (command.USAGE, "", 1)
    assert said.err.endswith("--help\n")


def taking_a_value() -> list[tuple[str, str]]:
    """Each verb with each of its options and arguments that takes a value; an argument is named in upper case."""
    (verbs,) = (one for one in command._parser()._actions if isinstance(one, argparse._SubParsersAction))
    return [
        (verb, action.option_strings[-1] if action.option_strings else action.dest.upper())
        for verb, parser in verbs.choices.items()
        for action in parser._actions
        if action.nargs is None
    ]


def refused(verb: str, name: str, *values: str, capsys: pytest.CaptureFixture[str]) -> str:
    """Give these values to the option, or the argument, of the verb's example; returns the one line of the refusal."""
    _, _, *example = shlex.split(command.verbs()[verb].example)
    if name.startswith("--"):
        given = [word for value in values for word in (name, value)]
    else:
        example, given = example[1:], list(values)
    with pytest.raises(SystemExit) as left:
        command._parser().parse_args([verb, *given, *example])
    said = capsys.readouterr()
    assert (left.value.code, said.out, len(said.err.splitlines())) == (command.USAGE, "", 1), said.err
    return said.err


@pytest.mark.parametrize("empty", ["", "  "])
@pytest.mark.parametrize(("verb", "name"), taking_a_value())
def test_nothing_that_takes_a_value_takes_an_empty_one(
    verb: str, name: str, empty: str, capsys: pytest.CaptureFixture[str]
):
    assert name.lower() in refused(verb, name, empty, capsys=capsys).lower()


@pytest.mark.parametrize(("verb", "name"), [one for one in taking_a_value() if one[1].startswith("--")])
def test_what_is_not_utf8_is_refused_and_shown_escaped(verb: str, name: str, capsys: pytest.CaptureFixture[str]):
    said = refused(verb, name, "\udcff\x1b]0;title\x07", capsys=capsys)
    assert said.removesuffix("\n").isprintable()


REPEATABLE = {"--service", "--type", "--regardless", "--key", "--reason-contains", "--reason-class", "--step", "--why"}
# Of these verbs; others take one.
REPEATABLE_OF = {
    "replay": "--event", "dead-letters": "--event", "redrive": "--event", "discard": "--event",
    "orders": "--at", "tasks": "--task",
}  # fmt: skip


@pytest.mark.parametrize(("verb", "name"), [one for one in taking_a_value() if one[1].startswith("--")])
def test_an_option_is_given_once_or_keeps_all_of_its_values(verb: str, name: str, capsys: pytest.CaptureFixture[str]):
    if name in REPEATABLE or name == REPEATABLE_OF.get(verb):
        _, _, *example = shlex.split(command.verbs()[verb].example)
        given = command._parser().parse_args([verb, *example, name, "7", name, "8"])
        assert any(held[-2:] == ["7", "8"] for held in vars(given).values() if isinstance(held, list))
    else:
        assert "it is given twice" in refused(verb, name, "7", "8", capsys=capsys)


def test_of_several_types_any_will_do_and_a_name_is_taken_once():
    given = command._parser().parse_args(["list", "--type", "OrderPlaced", *["--type", "OrderConfirmed"] * 2])
    assert read_filter(given).event_types == ("waybill.order.OrderPlaced", "waybill.order.OrderConfirmed")


@pytest.mark.parametrize("wrong", ["orders/1", "/1", "order/"])
@pytest.mark.parametrize("verb", ["list", "tail", "replay"])
def test_an_aggregate_of_a_type_that_nobody_has_is_refused_with_those_that_are_known(verb: str, wrong: str):
    given = command._parser().parse_args([verb, "--aggregate", wrong])
    with pytest.raises(UsageError, match=r"write order/ID|known are .*order, "):
        listing.aggregate(given.aggregate)


@pytest.mark.parametrize("wrong", ["9" * 5_000, f"1..{'9' * 5_000}", "..", str(2**63)])
def test_a_position_that_no_outbox_can_have_is_refused(wrong: str):
    with pytest.raises(UsageError):
        listing.positions(wrong)


def test_a_time_before_the_calendar_begins_is_its_beginning():
    assert listing.moment("999999d") == listing.BEGINNING

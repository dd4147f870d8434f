"""Nothing that a record brings can command the terminal it is shown on."""

import json
import sys
import unicodedata

import pytest

from outbox_relay.cli import screen
from waybill.commands.printing import printable

# A title set, a line that overwrites itself, a reversed reading, a second line, and half of a character.
HOSTILE = "\x1b]0;owned\x07 \x9b2J \x7f \r\n \u2028 \x85 \u202eabc\u2066 \ufeff \x00 \ud800 \U000e0001 é 注文 🚚"


def shown(capsys: pytest.CaptureFixture[str]) -> list[str]:
    said = capsys.readouterr()
    lines = (said.err + said.out).split("\n")
    assert all(line.isprintable() for line in lines), lines
    return lines


def test_whatever_is_shown_to_people_is_printable(capsys: pytest.CaptureFixture[str]):
    screen.tell(HOSTILE)
    screen.put_table([{"key": HOSTILE, "held": {"inner": HOSTILE}}, {"key": [HOSTILE], "held": None}])
    screen.put_row({"key": 5}, {"key": HOSTILE})
    screen.put_record(HOSTILE, {HOSTILE: HOSTILE, "held": {HOSTILE: HOSTILE}})
    lines = shown(capsys)
    told = lines[0]
    assert "\\x1b]0;owned\\x07" in told
    assert "é 注文 🚚" in told


def test_json_is_printable_too_and_parses_to_what_it_was(capsys: pytest.CaptureFixture[str]):
    screen.put_json([{HOSTILE: [HOSTILE]}])
    line, _ = shown(capsys)
    assert json.loads(line) == {HOSTILE: [HOSTILE]}
    assert "é 注文 🚚" in line


def test_no_control_character_or_override_of_unicode_is_printed_as_it_is():
    hidden = [
        one for one in map(chr, range(sys.maxunicode + 1)) if unicodedata.category(one) in {"Cc", "Cf", "Zl", "Zp"}
    ]
    assert len(hidden) > 200
    assert printable("".join(hidden)).isascii()

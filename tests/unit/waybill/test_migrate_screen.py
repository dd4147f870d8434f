"""What rows hold is anybody's text: a terminal obeys none of it, and JSON stays JSON."""

import json

from waybill.migrate import screen


def test_what_a_terminal_would_obey_is_escaped(capsys):
    hostile = "key \x1b[2J\x9b1m\u202e"
    screen.put({"key": hostile}, hostile, as_json=False)
    screen.put({"key": hostile + "\x7f"}, hostile, as_json=True)
    screen.tell(hostile)
    shown = capsys.readouterr()
    text, line = shown.out.splitlines()
    assert text == "key \\x1b[2J\\x9b1m\\u202e"
    assert line.isprintable()
    assert json.loads(line) == {"key": hostile + "\x7f"}
    assert shown.err == f"migrate: {text}\n"


def test_without_a_terminal_progress_is_a_line_now_and_then_and_no_bar(capsys, monkeypatch):
    monkeypatch.setattr(screen, "LINE_SECONDS", 0.0)
    progress = screen.Progress("keys queued")
    progress(3, 10, "20 events wait for the relay")
    progress.end()
    assert capsys.readouterr().err == "migrate: keys queued: 3 of about 10, waits: 20 events wait for the relay\n"

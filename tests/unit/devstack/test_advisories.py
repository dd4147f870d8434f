"""A version that is known to be vulnerable fails lint; an advisory service that is away does not."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from devstack.supply import advisories

NOWHERE = "http://127.0.0.1:1/v1/query"
BAD = {
    "id": "GHSA-aaaa-bbbb-cccc",
    "modified": "2026-01-01T00:00:00Z",
    "summary": "It can be made to do anything.",
    "affected": [
        {
            "package": {"name": "leaky", "ecosystem": "PyPI"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "1.1"}]}],
        }
    ],
}


class Osv(BaseHTTPRequestHandler):
    """Answers as OSV does: an advisory on `leaky`, and none on anything else."""

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        said = {"vulns": [BAD]} if asked.get("package", {}).get("name") == "leaky" else {}
        body = json.dumps(said).encode()
        self.send_response(200 if asked else 400)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def osv() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Osv) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/v1/query"
        server.shutdown()


@pytest.fixture
def stamp(monkeypatch, tmp_path):
    monkeypatch.setattr(advisories, "STAMP", tmp_path / "audited")
    return tmp_path / "audited"


def test_a_vulnerable_version_is_named_with_what_mends_it(osv):
    assert advisories.vulnerable("leaky==1.0\nsound==2.0\n", osv) == ["leaky 1.0: GHSA-aaaa-bbbb-cccc, fixed in 1.1"]


def test_what_is_locked_is_asked_about_once_a_day(osv, stamp, monkeypatch, capsys):
    monkeypatch.setattr(advisories, "OSV", osv)
    advisories.main()
    assert stamp.exists()
    monkeypatch.setattr(advisories, "reachable", lambda _: pytest.fail("asked again"))
    advisories.main()
    assert capsys.readouterr().out == ""


def test_a_vulnerable_version_in_the_lock_fails(osv, stamp, monkeypatch, capsys):
    monkeypatch.setattr(advisories, "OSV", osv)
    monkeypatch.setattr(
        advisories, "vulnerable", lambda pinned, url: ["leaky 1.0: GHSA"] if "django==" in pinned else []
    )
    with pytest.raises(SystemExit) as end:
        advisories.main()
    assert end.value.code == 1
    assert capsys.readouterr().err == "leaky 1.0: GHSA\n"
    assert not stamp.exists()


def test_a_service_that_is_away_is_told_of_and_fails_nothing(stamp, monkeypatch, capsys):
    monkeypatch.setattr(advisories, "OSV", NOWHERE)
    advisories.main()
    assert f"not audited: {NOWHERE} cannot be reached" in capsys.readouterr().out
    assert not stamp.exists()


def test_an_audit_that_breaks_off_is_no_success():
    with pytest.raises(SystemExit, match=r"pip-audit failed: .*ConnectionError"):
        advisories.vulnerable("leaky==1.0\n", NOWHERE)

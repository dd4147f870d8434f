"""The shadow program between real servers: clients get the control's answer, whatever the candidate does."""

import gzip
import http.client
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from devstack.harness.wait import wait_until
from tests.support.programs import CHECKOUT, Program, program
from tests.support.providers.process import free_port
from tests.support.raw_http import RawServer, exchanged, get, hangs, json_answer, raw_server
from tests.support.scrape import scrape

BODY = b'{"name": "lamp", "made_at": 1, "items": [{"id": 7}]}'
CANDIDATE_SECONDS = 3.0


def broken_off(connection: socket.socket, _: threading.Event) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 900\r\n\r\n" + BODY)


def without_last_chunk(connection: socket.socket, _: threading.Event) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n%x\r\n%s\r\n" % (len(BODY), BODY))


def endless(connection: socket.socket, over: threading.Event) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n")
    while not over.is_set():
        connection.sendall(b" " * 65_536)


CANDIDATES = {
    "/500": (json_answer(b"{}", "500 Internal Server Error"), "status", "value", 500),
    "/html": (
        b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 6\r\n\r\n<html>",
        "header content-type",
        "value",
        "text/html",
    ),
    "/slow": (hangs, "answer", "missing", "timed_out"),
    "/half": (broken_off, "answer", "missing", "broken_off"),
    "/huge": (endless, "answer", "missing", "too_large"),
    "/other": (json_answer(b'{"name": "chair", "made_at": 1, "items": []}'), "$.items", "length", 0),
}


@contextmanager
def shadowing(control: RawServer, candidate: str, file: Path, **more: str) -> Iterator[Program]:
    settings = {
        "WAYBILL_SHADOW_CONTROL": control.origin,
        "WAYBILL_SHADOW_CANDIDATE": candidate,
        "WAYBILL_SHADOW_ROUTES": "/v1/{any}",
        "WAYBILL_SHADOW_SHARE": "1",
        "WAYBILL_SHADOW_FILE": str(file),
        "WAYBILL_SHADOW_SECONDS": str(CANDIDATE_SECONDS),
        **more,
    }
    with program("shadow", "", **settings) as running:
        running.wait_for("the shadow program answers", lambda: running.ask("/livez")[0] == 200)
        yield running


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[RawServer, RawServer]]:
    with raw_server() as control, raw_server() as candidate:
        control.replies["*"] = json_answer(BODY)
        for path, (reply, *_) in CANDIDATES.items():
            candidate.replies[path] = reply
        yield control, candidate


@pytest.fixture(scope="module")
def shadow(servers, tmp_path_factory) -> Iterator[Program]:
    control, candidate = servers
    file = tmp_path_factory.mktemp("shadow") / "findings.json"
    more = {"WAYBILL_SHADOW_ROUTES": ",".join([*CANDIDATES, "/v1/{any}"]), "WAYBILL_PERSONAL": "name"}
    with shadowing(control, candidate.origin, file, **more) as running:
        running.file = file
        yield running


def outcomes(running: Program, route: str) -> dict[str, int]:
    found = scrape(running.health_port)
    wanted = {
        dict(labels)["outcome"]: value
        for (name, labels), value in found.items()
        if ("route", route) in labels and name == "shadow_comparisons_total"
    }
    return {name: int(value) for name, value in wanted.items() if value}


def compared(running: Program, route: str, times: int = 1) -> dict[str, int]:
    return wait_until(
        lambda: (found := outcomes(running, route)) and sum(found.values()) >= times and found,
        deadline_seconds=20,
        what=f"{times} of {route} are compared",
    )


def report(file: Path, *arguments: str) -> tuple[int, list[dict[str, Any]], str]:
    done = subprocess.run(
        [sys.executable, "-m", "waybill", "shadow", "report", "--file", str(file), "--json", *arguments],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr


def reported(file: Path, route: str, times: int = 1) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        found = report(file, "--route", route)[1][0]
        return found if found["compared"] + sum(found["not_compared"].values()) >= times else None

    return wait_until(look, deadline_seconds=20, what=f"{route} stands in the file")


ANSWERS = {
    "a length": json_answer(
        BODY, "200 OK", 'ETag: "a"', "Set-Cookie: a=1; Path=/", "X-Odd:  two  words ", "Set-Cookie: b=2"
    ),
    "chunks": b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nVary: Accept\r\n\r\n"
    b'5\r\n{"a":\r\n3\r\n 1}\r\n0\r\n\r\n',
    "a coding": b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: %d\r\n\r\n%s"
    % (len(gzip.compress(BODY, mtime=0)), gzip.compress(BODY, mtime=0)),
    "bytes": b"HTTP/1.1 200 OK\r\ncontent-type: image/png\r\ncontent-length: 256\r\n\r\n" + bytes(range(256)),
    "an error": json_answer(b'{"code": "gone"}', "410 Gone", "Retry-After: 7"),
    "a redirect": b"HTTP/1.1 302 Found\r\nlocation: /v1/elsewhere\r\ncontent-length: 0\r\n\r\n",
    "no content": b"HTTP/1.1 204 No Content\r\nx-request-id: 7\r\n\r\n",
}


@pytest.mark.parametrize("kind", ANSWERS)
def test_the_controls_answer_is_passed_on_byte_for_byte(kind, servers, shadow):
    control, _ = servers
    control.replies["/v1/same"] = ANSWERS[kind]
    hop = {b"connection", b"transfer-encoding"}
    status, headers, body = exchanged(shadow.port, get("/v1/same"))
    control_says, _, content = ANSWERS[kind].partition(b"\r\n\r\n")
    own_status, *lines = control_says.split(b"\r\n")
    own = [(name.lower(), value.strip()) for name, _, value in (line.partition(b":") for line in lines)]
    assert status == own_status
    assert [one for one in headers if one[0] not in hop] == [one for one in own if one[0] not in hop]
    assert body == (b'{"a": 1}' if kind == "chunks" else content)


def test_a_request_reaches_the_control_as_it_came(servers, shadow):
    control, candidate = servers
    exchanged(shadow.port, get("/v1/as%20it?q=%2F&q", "X-Own: a", "Authorization: Bearer t", "X-Request-ID: r1"))
    (first, *_) = control.of("/v1/as%20it")
    line, *headers = first.rstrip(b"\r\n").split(b"\r\n")
    assert line == b"GET /v1/as%20it?q=%2F&q HTTP/1.1"
    assert {b"host: shop.test", b"x-own: a", b"authorization: Bearer t"} <= {
        one.replace(b"Host", b"host") for one in headers
    }
    wait_until(lambda: candidate.of("/v1/as%20it"), deadline_seconds=10, what="the candidate is asked")
    assert b"x-waybill-shadow: candidate" in candidate.of("/v1/as%20it")[0].lower()


@pytest.mark.parametrize("path", CANDIDATES)
def test_the_client_gets_the_controls_answer_in_time_whatever_the_candidate_does(path, servers, shadow):
    _, field, kind, answered = CANDIDATES[path]
    begun = time.monotonic()
    status, _, body = exchanged(shadow.port, get(path))
    assert time.monotonic() - begun < CANDIDATE_SECONDS / 2
    assert (status, body) == (b"HTTP/1.1 200 OK", BODY)
    assert compared(shadow, path) == {"mismatch": 1}
    found = reported(shadow.file, path)
    assert {"field": field, "kinds": [kind], "candidate_differs": 1, "second_control_differs": 0, "noise": False} in (
        found["fields"]
    )
    (sample,) = found["samples"]
    assert [one["candidate"] for one in sample["differences"] if one["field"] == field] == [answered]


def test_a_true_mismatch_is_reported_masked_and_by_the_exit_code(servers, shadow):
    control, candidate = servers
    control.replies["/v1/true"] = json_answer(b'{"name": "Ann Example", "size": 1, "note": "a"}')
    candidate.replies["/v1/true"] = json_answer(b'{"name": "Bob Example", "size": 2, "note": "b@mail.test"}')
    before = sum(outcomes(shadow, "/v1/{any}").values())
    exchanged(shadow.port, get("/v1/true", "X-Request-ID: 0198-true"))
    compared(shadow, "/v1/{any}", before + 1)

    def look():
        code, (found,), said = report(shadow.file, "--route", "/v1/{any}")
        (sample,) = [one for one in found["samples"] if one["request_id"] == "0198-true"] or [None]
        return sample and (code, sample, said)

    code, sample, said = wait_until(look, deadline_seconds=10, what="the sample is kept")
    assert code == 1
    assert "answers differ" in said
    assert {one["field"]: (one["control"], one["candidate"]) for one in sample["differences"]} == {
        "$.name": ("••• (text of 11)", "••• (text of 11)"),
        "$.size": (1, 2),
        "$.note": ("a", "••• (text of 11)"),
    }
    assert "Example" not in shadow.file.read_text()
    assert shadow.file.stat().st_mode & 0o077 == 0


def test_a_control_in_a_coding_that_nobody_here_understands_is_passed_on_and_named(tmp_path):
    with raw_server() as control, raw_server() as candidate:
        control.replies["*"] = json_answer(b"\x0b\x02\x80{}\x03", "200 OK", "Content-Encoding: br")
        with shadowing(control, candidate.origin, tmp_path / "findings.json") as running:
            _, _, body = exchanged(running.port, get("/v1/rooms", "Accept-Encoding: br, gzip"))
            assert body == b"\x0b\x02\x80{}\x03"
            assert compared(running, "/v1/{any}") == {"not_decoded": 1}
            (line,) = running.events("coding not understood")
        assert line["coding"] == "br"
        (asked,) = candidate.of("/v1/rooms")
        assert b"\r\naccept-encoding: gzip\r\n" in asked.lower()
        assert b"\r\naccept-encoding: br, gzip\r\n" in control.of("/v1/rooms")[0].lower()


def test_what_differs_between_the_controls_is_noise_and_no_mismatch(tmp_path):
    def moving(connection: socket.socket, _: threading.Event) -> None:
        connection.sendall(
            json_answer(b'{"id": 7, "nonce": "%s"}' % os.urandom(8).hex().encode(), "200 OK", "connection: close")
        )

    with raw_server() as control, raw_server() as candidate:
        control.replies["*"] = candidate.replies["*"] = moving
        with shadowing(control, candidate.origin, tmp_path / "f.json") as running:
            for _ in range(5):
                exchanged(running.port, get("/v1/noisy"))
            assert compared(running, "/v1/{any}", 5) == {"equal": 5}
            found = reported(tmp_path / "f.json", "/v1/{any}", 5)
            assert [(one["field"], one["noise"]) for one in found["fields"]] == [("$.nonce", True)]
            assert report(tmp_path / "f.json")[0] == 0


def test_what_changes_state_reaches_the_control_once_and_nobody_else(servers, shadow):
    control, candidate = servers
    methods = ("POST", "PUT", "PATCH", "DELETE", "OPTIONS")
    for method in methods:
        for path, more, body in (
            (f"/v1/{method}", (), b""),
            (f"/v1/{method}-body", ("transfer-encoding: chunked",), b"3\r\nabc\r\n0\r\n\r\n"),
        ):
            assert exchanged(shadow.port, get(path, *more, method=method) + body)[0] == b"HTTP/1.1 200 OK"
            (asked,) = control.of(path)
            assert asked.endswith(b"\r\n\r\n" + body)
    exchanged(shadow.port, get("/v1/after"))
    wait_until(lambda: candidate.of("/v1/after"), deadline_seconds=10, what="what came later is compared")
    assert [one for one in candidate.asked if not one.startswith(b"GET ")] == []


def test_a_post_whose_connection_breaks_is_not_sent_again_and_answered_502(servers, shadow):
    control, _ = servers
    control.replies["/v1/breaks"] = lambda connection, _: connection.sendall(b"")
    status, _, body = exchanged(shadow.port, get("/v1/breaks", "content-length: 2", method="POST") + b"{}")
    assert status == b"HTTP/1.1 502 Bad Gateway"
    assert json.loads(body)["status"] == 502
    assert len(control.of("/v1/breaks")) == 1


@pytest.mark.parametrize("breaks", [broken_off, without_last_chunk])
def test_half_an_answer_of_the_control_is_half_an_answer_to_the_client(breaks, servers, shadow):
    control, candidate = servers
    control.replies["/v1/half"] = breaks
    before = outcomes(shadow, "/v1/{any}").get("control_failed", 0)
    connection = http.client.HTTPConnection("127.0.0.1", shadow.port, timeout=10)
    connection.request("GET", "/v1/half")
    answer = connection.getresponse()
    with pytest.raises(http.client.IncompleteRead) as cut:
        answer.read()
    connection.close()
    assert (answer.status, cut.value.partial) == (200, BODY)
    wait_until(
        lambda: outcomes(shadow, "/v1/{any}").get("control_failed", 0) == before + 1,
        deadline_seconds=10,
        what="it is counted",
    )
    assert candidate.of("/v1/half") == []


def resident_kb(running: Program) -> int:
    status = Path(f"/proc/{running.process.pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0])


def test_memory_is_bounded_however_many_wait_for_a_candidate_that_hangs(tmp_path):
    """200 answers of 200 kB would be 40 MB; what is beyond the queue is dropped and counted."""
    large = json_answer(b'"%s"' % (b"x" * 200_000))
    with raw_server() as control, raw_server() as candidate:
        control.replies["*"], candidate.replies["*"] = large, hangs
        more = {"WAYBILL_SHADOW_CONCURRENCY": "1", "WAYBILL_SHADOW_QUEUE": "3", "WAYBILL_SHADOW_SECONDS": "60"}
        with shadowing(control, candidate.origin, tmp_path / "f.json", **more) as running:
            exchanged(running.port, get("/v1/first"))
            before = resident_kb(running)
            for _ in range(200):
                assert exchanged(running.port, get("/v1/more"))[0] == b"HTTP/1.1 200 OK"
            assert compared(running, "/v1/{any}", 197) == {"dropped": 197}
            assert scrape(running.health_port)["shadow_pending", frozenset()] == 4
            assert resident_kb(running) - before < 20_000


def test_an_answer_is_passed_on_no_faster_than_its_client_reads(tmp_path):
    sent = 0

    def flood(connection: socket.socket, over: threading.Event) -> None:
        nonlocal sent
        connection.sendall(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n")
        while not over.is_set():
            connection.sendall(b"x" * 65_536)
            sent += 65_536

    with raw_server() as control, raw_server() as candidate:
        control.replies["*"] = flood
        with (
            shadowing(control, candidate.origin, tmp_path / "f.json") as running,
            socket.create_connection(("127.0.0.1", running.port), timeout=10) as client,
        ):
            client.sendall(get("/v1/flood"))
            assert client.recv(1_000)
            before = resident_kb(running)
            seen: list[int] = []

            def has_stopped() -> bool:
                seen.append(sent)
                return len(seen) > 5 and seen[-1] == seen[-5]

            wait_until(has_stopped, deadline_seconds=10, every_seconds=0.1, what="the control is held back")
            assert sent < 32_000_000  # of the sockets' own buffers
            assert resident_kb(running) - before < 20_000


def test_a_candidate_that_is_away_costs_nothing_and_the_program_drains_when_it_is_stopped(tmp_path):
    file = tmp_path / "f.json"
    with raw_server() as control:
        control.replies["*"] = json_answer(BODY)
        nowhere = f"http://127.0.0.1:{free_port()}"
        with shadowing(control, nowhere, file) as running:
            assert exchanged(running.port, get("/v1/a"))[2] == BODY
            assert compared(running, "/v1/{any}") == {"mismatch": 1}
            running.process.terminate()
            assert running.process.wait(20) == 0
            kept = json.loads(file.read_text())
            assert [one["field"] for one in kept["routes"][0]["fields"]] == ["answer"]
            running.process = subprocess.Popen(["sleep", "60"])  # what the fixture ends
        with shadowing(control, nowhere, file) as running:
            exchanged(running.port, get("/v1/a"))
            assert reported(file, "/v1/{any}", 2)["compared"] == 2


def test_a_control_that_is_away_is_told_as_502(tmp_path):
    with raw_server() as control:
        away = control
    with raw_server() as candidate, shadowing(away, candidate.origin, tmp_path / "f.json") as running:
        assert exchanged(running.port, get("/v1/a"))[0] == b"HTTP/1.1 502 Bad Gateway"
        assert scrape(running.health_port)["shadow_control_failures_total", frozenset({("reason", "unreachable")})] == 1
        assert candidate.asked == []

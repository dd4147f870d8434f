"""`make bench-api`: the order service's POST and GET beside bare django-ninja views on the same server and database.

    post_vs_bare     POST /v1/orders: its rate over that of a view that writes the same row, without token, key, event
    get_vs_constant  GET /v1/orders/{id}: its rate over that of a view that answers a constant

Both programs run, one at a time is asked, in short turns one after the other; each figure is the median of the ratios
of neighbouring turns. Figures go to results/api.json; a --quick run keeps nothing. The last line is one JSON object.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from benchmarks.peers.process import Peer
from benchmarks.web_program import WebProgram, free_port, until_answering, web_program
from devstack.harness.interrupts import end_tidily
from devstack.harness.stack import CHECKOUT

RESULTS: Final = Path(__file__).parent / "results" / "api.json"
CLIENTS: Final = 8
THREADS: Final = 4  # WAYBILL_WEB_THREADS, as the order service has it by default
PEERS: Final = {"post": "post_vs_bare", "get": "get_vs_constant"}
GOALS: Final = {"post_vs_bare": 0.7}
Turn = dict[str, Any]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and keep."""
    end_tidily()
    parser = argparse.ArgumentParser(prog="python -m benchmarks.api", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="seconds instead of minutes; keeps nothing")
    quick = parser.parse_args(arguments).quick
    seconds, turns = (1.5, 2) if quick else (5.0, 7)
    with web_program() as web, _bare(web) as (port, bare):
        ports = {"ours": web.port, "bare": port}
        for kind in PEERS:
            for at in ports.values():
                _load(kind, at, web.tokens[0], seconds)  # warm-up: connections, plans, imports
        taken = {kind: [_turn(kind, ports, web.tokens[0], seconds) for _ in range(turns)] for kind in PEERS}
        bare.fail_if_dead()
    found = figures(taken)
    if not quick:
        kept = {"figures": found, "load_average": os.getloadavg()[0], "turns": taken}
        RESULTS.write_text(json.dumps(kept, indent=1) + "\n")
    print(json.dumps(found))


def figures(taken: dict[str, list[dict[str, Turn]]]) -> dict[str, float]:
    """Return the median of the ratios, and the median rates."""
    found: dict[str, float] = {}
    for kind, name in PEERS.items():
        turns = taken[kind]
        found[name] = round(statistics.median(one["ours"]["per_s"] / one["bare"]["per_s"] for one in turns), 2)
        for who in ("ours", "bare"):
            found[f"{kind}_{who}_per_s"] = statistics.median(one[who]["per_s"] for one in turns)
            found[f"{kind}_{who}_p99_ms"] = statistics.median(one[who]["p99_ms"] for one in turns)
    return found


def _turn(kind: str, ports: dict[str, int], token: str, seconds: float) -> dict[str, Turn]:
    return {who: _load(kind, port, token, seconds) for who, port in ports.items()}


def _load(kind: str, port: int, token: str, seconds: float) -> Turn:
    command = [sys.executable, "-m", "benchmarks.api_load", kind, str(port), str(CLIENTS), str(seconds)]
    done = subprocess.run(command, cwd=CHECKOUT, input=token, stdout=subprocess.PIPE, text=True, check=True)
    print(f"{kind:4} {port}: {done.stdout.strip()}", file=sys.stderr, flush=True)
    found = json.loads(done.stdout)
    assert not found["other"], found  # a refusal is quick, and would make a rate look better
    return found


@contextmanager
def _bare(web: WebProgram) -> Iterator[tuple[int, Peer]]:
    """Run the bare program beside the web program, on the same database; yields its port."""
    port = free_port()
    told = {"WAYBILL_DATABASE_URL": web.database_url, "WAYBILL_PORT": str(port), "BARE_THREADS": str(THREADS)}
    with Peer("bare", [sys.executable, "-m", "benchmarks.peers.bare_api"], told, web.folder / "bare.log") as peer:
        until_answering(peer, f"http://127.0.0.1:{port}/v1/orders/{UUID(int=1)}")
        yield port, peer


if __name__ == "__main__":
    main()

"""`make bench-overload`: what one web program answers at twice the load that it can take.

One web program of the order service and a PostgreSQL of its own, on loopback. First the peak: closed loops of several
sizes, and the best of them. Then an open loop at twice that rate, which is what a service cannot hold back. Figures go
to results/overload.json; a --quick run keeps nothing. The last line is one JSON object.
"""

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.error import URLError
from urllib.request import urlopen

from benchmarks.peers.process import Peer
from benchmarks.stage import execute
from devstack import tokens
from devstack.harness.databases import Server
from devstack.harness.stack import CHECKOUT, Stack
from devstack.harness.wait import wait_until

RESULTS: Final = Path(__file__).parent / "results" / "overload.json"
CLIENTS: Final = (8, 16, 32)
CUSTOMERS: Final = 20
OVER: Final = 2
GOALS: Final = {"goodput_at_2x": 0.8, "p99_ms_at_2x": 1_000}
PRICE: Final = "INSERT INTO prices (sku, unit_price, currency) VALUES ('LAMP-01', 100, 'EUR')"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and keep."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.overload", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="seconds instead of a minute; keeps nothing")
    quick = parser.parse_args(arguments).quick
    seconds, repeats = (4, 1) if quick else (10, 3)
    with _web_program() as (port, subjects):
        _load("closed", port, subjects, 8, seconds / 2)  # warm-up: connections, plans
        peaks = [_load("closed", port, subjects, clients, seconds) for clients in CLIENTS]
        peak = max(one["accepted_per_s"] for one in peaks)
        over = [_load("open", port, subjects, OVER * peak, seconds) for _ in range(repeats)]
        after = _load("closed", port, subjects, CLIENTS[0], seconds / 2)
    found = figures(peak, over)
    if not quick:
        kept = {"figures": found, "load_average": os.getloadavg()[0], "peak": peaks, "over": over, "after": after}
        RESULTS.write_text(json.dumps(kept, indent=1) + "\n")
    print(json.dumps(found))


def figures(peak: float, over: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return the medians of the runs at twice the peak."""
    middle = {name: statistics.median(one[name] or 0 for one in over) for name in ("accepted_per_s", "accepted_p99_ms")}
    return {
        "peak_rps": peak,
        "goodput_at_2x": round(middle["accepted_per_s"] / peak, 2),
        "p99_ms_at_2x": middle["accepted_p99_ms"],
        "refused": sum(one["refused"] for one in over),
        "unanswered": sum(one["unanswered"] for one in over),
    }


def _load(kind: str, port: int, subjects: str, much: float, seconds: float) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.http_load", kind, str(port), str(much), str(seconds)]
    done = subprocess.run(command, cwd=CHECKOUT, input=subjects, stdout=subprocess.PIPE, text=True, check=True)
    print(f"{kind:6} {much:7.1f}: {done.stdout.strip()}", file=sys.stderr, flush=True)
    return json.loads(done.stdout)


@contextmanager
def _web_program() -> Iterator[tuple[int, str]]:
    """Run the program; yields its port, and tokens of several customers."""
    with tempfile.TemporaryDirectory(prefix="waybill-overload-", ignore_cleanup_errors=True) as name:
        home = Path(name) / "stack"
        stack = Stack(home, {**os.environ, "WAYBILL_HOME": str(home)})
        try:
            _devstack(stack, "up", "--only", "postgres")
            with Server(stack.superuser_url).fresh("order_service") as database:
                execute(database.superuser_url, PRICE)
                tokens.prepare(Path(name))
                port, health = _free_port(), _free_port()
                environment = {
                    "WAYBILL_DATABASE_URL": database.service_url,
                    "WAYBILL_PORT": str(port),
                    "WAYBILL_HEALTH_PORT": str(health),
                    "WAYBILL_ENVIRONMENT": "development",
                    "WAYBILL_JWKS_FILE": str(tokens.jwks_file(Path(name))),
                    "WAYBILL_TOKEN_ISSUER": tokens.ISSUER,
                    "WAYBILL_TOKEN_AUDIENCE": tokens.AUDIENCE,
                }
                command = [sys.executable, "-m", "waybill", "order_service", "web"]
                with Peer("web", command, environment, Path(name) / "web.log") as web:
                    wait_until(lambda: _ready(web, health), deadline_seconds=60, what="the web program")
                    given = [tokens.mint(Path(name), f"customer-{n}", "orders") for n in range(CUSTOMERS)]
                    yield port, " ".join(given)
        finally:
            _devstack(stack, "reset")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


def _ready(web: Peer, port: int) -> bool:
    web.fail_if_dead()
    try:
        with urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:
            return answer.status == 200
    except URLError:
        return False


def _devstack(stack: Stack, *arguments: str) -> None:
    command = [sys.executable, "-m", "devstack", *arguments]
    subprocess.run(command, cwd=CHECKOUT, env=stack.environment, check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    main()

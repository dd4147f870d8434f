"""Housekeeping of a long log, beside the same in one piece: `python -m benchmarks.housekeeping`.

Two databases on one server: one has a year's log in ranges, the other the events of one range in one piece. What is
compared runs in turns, or under the same appends: a range that is dropped beside the DELETE of as many rows, appends
and the relay's reading in both, `outbox verify` from its mark in both, and a replay by time. The last line is one JSON
object, kept in results/housekeeping.json and shown in docs/benchmarks.md; `--quick` keeps nothing.
"""

import argparse
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import psycopg

import catalogue.configured  # noqa: F401 - configures Django
from benchmarks.appends import append, measured
from benchmarks.housekeeping_page import PAGE, RESULTS, page
from benchmarks.long_log import LongLog
from benchmarks.peers.ours import Relay
from benchmarks.rows import POOL_ROWS
from benchmarks.stage import CHECKOUT, SERVER_SETTINGS, Stage, database, execute, running
from devstack.harness.interrupts import end_tidily
from outbox_relay.operations.events.listing import Filter
from outbox_relay.operations.partitions import adopting, dropping, layout
from outbox_relay.operations.replay import plan
from outbox_relay.operations.replay.options import Options
from outbox_relay.relay.reading import FETCH
from waybill.inbox import inbox
from waybill.rest import idempotency

RANGES: Final = 10
OLD: Final = timedelta(days=30)
PUBLISHED: Final = 12_000  # of the last events: what a proof from its mark reads again
NEW: Final = 1_000  # and those that came since
PAGE_ROWS: Final = 500
FORGOTTEN: Final = 200_000
SETTINGS: Final = SERVER_SETTINGS | {
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "4GB",
    "shared_buffers": "1GB",
}
MARK: Final = "INSERT INTO waybill_verified_position (position, verified_by) VALUES (%s, 'bench')"
RECEIVED: Final = """
INSERT INTO received (id, msg_id, added, expires_at, retry, status)
SELECT gen_random_uuid(), 'order_service:' || gen_random_uuid(), now() - interval '40 days', now() - interval '1 day',
       0, 2
FROM generate_series(1, %s)
"""
ANSWERS: Final = """
INSERT INTO waybill_idempotency_key (caller, path, key, fingerprint, status, headers, body, created_at)
SELECT 'ann', '/v1/orders', n::text, md5(n::text), 202, '{}', repeat('x', 300), now() - interval '2 days'
FROM generate_series(1, %s) AS n
"""
PORTION: Final = 5_000


def drop_and_delete(ranges: LongLog) -> dict[str, Any]:
    """Drop the first range, archived before; delete the rows of the second one; vacuum what that left."""
    found: dict[str, Any] = {}
    with psycopg.connect(ranges.database.owner_url, autocommit=True) as owner, TemporaryDirectory() as folder:
        first, second, *_ = layout.ranges(owner)
        moments: list[float] = []
        archives: list[Any] = []

        def drop() -> None:
            (candidate, *_) = dropping.candidates(owner, OLD)
            assert not candidate.held.reasons, candidate.held
            moments.append(time.perf_counter())
            dropping.drop(owner, "order", candidate, OLD, Path(folder), ("bench", "measured"), note)
            moments.append(time.perf_counter())

        def note(archive: Any) -> None:
            archives.append(archive)
            moments.append(time.perf_counter())

        meanwhile = measured(ranges, drop)
        (archive,), (began, archived, ended) = archives, moments
        found["archive"] = {
            "seconds": round(archived - began, 1),
            "events": archive.events,
            "mb": round(archive.path.stat().st_size / 1e6),
            "mb_in_the_log": round(first.size_bytes / 1e6),
        }
        found["drop"] = meanwhile | {"detach_and_drop_ms": round((ended - archived) * 1000)}
        values = (second.first, second.last)
        deleted = "DELETE FROM waybill_outbox WHERE position BETWEEN %s AND %s"
        found["delete"] = measured(ranges, lambda: owner.execute(deleted, values))
        owner.execute(f"VACUUM public_partitions.{second.name}")
        size = f"SELECT pg_total_relation_size('public_partitions.{second.name}')"
        (left,) = owner.execute(size).fetchone() or (0,)
        found["delete"] |= {"events": archive.events, "mb_left_after_vacuum": round(left / 1e6)}
    return found


def appends(logs: Mapping[str, LongLog], seconds: float, repeats: int) -> dict[str, Any]:
    """Append in turns to each log, one event a transaction and 200; returns the median events/s."""
    found: dict[str, Any] = {}
    for events in (1, 200):
        rates: dict[str, list[float]] = {name: [] for name in logs}
        for _ in range(repeats):
            for name, log in logs.items():
                with psycopg.connect(log.database.service_url, autocommit=True) as writer:
                    append(writer, log, events)
                    began, done = time.perf_counter(), 0
                    while time.perf_counter() - began < seconds:
                        append(writer, log, events)
                        done += events
                    rates[name].append(done / (time.perf_counter() - began))
        medians = {name: round(statistics.median(several)) for name, several in rates.items()}
        found[f"{events} a transaction"] = medians | {"ratio": round(medians["ranges"] / medians["one piece"], 2)}
    return found


def relay_reads(logs: Mapping[str, LongLog], pages: int, repeats: int) -> dict[str, Any]:
    """Read pages as the relay does, in turns; returns the median rows/s."""
    rates: dict[str, list[float]] = {name: [] for name in logs}
    for _ in range(repeats):
        for name, log in logs.items():
            with psycopg.connect(log.database.superuser_url, autocommit=True) as reader:
                reader.execute("SET plan_cache_mode = force_generic_plan")
                position = log.last - pages * PAGE_ROWS
                began, rows = time.perf_counter(), 0
                with reader.cursor(binary=True) as cursor:
                    for _page in range(pages):
                        found = cursor.execute(
                            FETCH, {"position": position, "rows": PAGE_ROWS}, prepare=True
                        ).fetchall()
                        position, rows = found[-1][0], rows + len(found)
                rates[name].append(rows / (time.perf_counter() - began))
    medians = {name: round(statistics.median(several)) for name, several in rates.items()}
    return medians | {"ratio": round(medians["ranges"] / medians["one piece"], 2)}


def replay_by_time(log: LongLog, first: int, last: int) -> dict[str, Any]:
    """Plan a replay of the events between two times; returns what PostgreSQL read for it."""
    wanted = Filter(since=log.time_of(first), until=log.time_of(last))
    options = Options(wanted=wanted, by="bench", reason="measured")
    with psycopg.connect(log.database.superuser_url, autocommit=True) as reader:
        began = time.perf_counter()
        values = options.narrowed(reader).values()
        explained = reader.execute(f"EXPLAIN (ANALYZE, BUFFERS) {plan.SLICES}", values).fetchall()
        seconds = time.perf_counter() - began
    lines = "\n".join(line for (line,) in explained)
    buffers = re.search(r"Buffers: shared (?:hit=(\d+))? ?(?:read=(\d+))?", lines)
    return {
        "seconds": round(seconds, 2),
        "events": last - first,
        "buffers": sum(int(one or 0) for one in buffers.groups()) if buffers else None,
        "tables": sorted(set(re.findall(r" on (waybill_outbox_(?:\d+|open))\b(?!_)", lines))),
    }


@contextmanager
def published(stage: Stage, log: LongLog) -> Iterator[None]:
    """Let a relay publish the last events, and what comes in the block."""
    execute(log.database.superuser_url, "UPDATE waybill_outbox_cursor SET position = %s", log.last - PUBLISHED)
    with Relay(stage, log.database) as relay:
        relay.settle()
        execute(log.database.owner_url, MARK, log.last)
        yield
        relay.settle()


def verified(stage: Stage, log: LongLog) -> dict[str, Any]:
    """Verify from the mark, with NEW events since; returns seconds and what was looked at."""
    with published(stage, log), psycopg.connect(log.database.service_url, autocommit=True) as writer:
        for _ in range(NEW // 200):
            append(writer, log, 200)
    environment = {
        **os.environ,
        "WAYBILL_OUTBOX_DATABASES": f"order={log.database.service_url}",
        "WAYBILL_KAFKA_BOOTSTRAP": stage.kafka,
    }
    command = [sys.executable, "-m", "outbox_relay", "verify", "--no-rows", "--json"]
    began = time.perf_counter()
    done = subprocess.run(command, cwd=CHECKOUT, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    counts = json.loads(done.stdout.splitlines()[-1])
    return {"seconds": round(time.perf_counter() - began, 2), "events": counts["events"], "records": counts["records"]}


def forgetting(log: LongLog, rows: int) -> dict[str, int]:
    """Remove old rows of the inbox and old answers in portions, as the consumer does; returns rows/s."""
    found: dict[str, int] = {}
    arms = (("inbox", RECEIVED, inbox.FORGET, 30), ("answers", ANSWERS, idempotency.FORGET, idempotency.KEPT_HOURS))
    with psycopg.connect(log.database.owner_url, autocommit=True) as owner:
        for name, filled, forget, kept in arms:
            owner.execute(filled, (rows,))
            owner.execute("ANALYZE")
            began, removed = time.perf_counter(), 0
            while portion := owner.execute(forget, (kept, PORTION)).rowcount:
                removed += portion
            assert removed == rows, (name, removed)
            found[f"{name} rows/s"] = round(removed / (time.perf_counter() - began))
    return found


def adopted(log: LongLog, size: int) -> dict[str, float]:
    """Divide the log that is in one piece, while it is appended to."""
    with psycopg.connect(log.database.owner_url, autocommit=True) as owner:
        return measured(log, lambda: adopting.adopt(owner, size, "bench", "measured"))


def main() -> None:
    """Lay out, measure, print, and keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=50_000_000, help=f"in {RANGES} ranges")
    parser.add_argument("--quick", action="store_true", help="200,000 events; keeps nothing")
    parser.add_argument("--page", action="store_true", help="only write the table of what was measured")
    given = parser.parse_args()
    if given.page:
        PAGE.write_text(page(json.loads(RESULTS.read_text()), PAGE.read_text()))
        return
    end_tidily()
    result = run(200_000 if given.quick else given.events, quick=given.quick)
    if not given.quick:
        RESULTS.write_text(json.dumps(result, indent=1) + "\n")
        PAGE.write_text(page(result, PAGE.read_text()))
    print(json.dumps(result))


def run(events: int, *, quick: bool) -> dict[str, Any]:
    """Measure everything."""
    size = events // RANGES
    load = round(os.getloadavg()[0], 1)
    with running(SETTINGS) as stage, database(stage) as one_piece, database(stage) as in_ranges:
        began = time.perf_counter()
        logs = {
            "one piece": LongLog(one_piece, "bench.one-piece", events),
            "ranges": LongLog(in_ranges, "bench.ranges", events),
        }
        for log in logs.values():
            stage.make_topic(log.topic)
        logs["one piece"].fill_one_piece(size)
        logs["ranges"].fill_ranges(events, size)
        stage.write_out()
        result: dict[str, Any] = {
            "events": logs["ranges"].last,
            "ranges": RANGES,
            "bytes": execute(in_ranges.superuser_url, "SELECT pg_database_size(current_database())")[0][0],
            "laid_out_seconds": round(time.perf_counter() - began),
            "machine": {"cores": os.cpu_count(), "system": platform.platform(terse=True), "load_average_before": load},
        }
        report(result)
        seconds, repeats = (0.5, 2) if quick else (3.0, 5)
        window = (size * 4 + size // 4, size * 4 + size // 4 + size // 50)
        steps: dict[str, Callable[[], Any]] = {
            "verify_from_mark": lambda: {name: verified(stage, log) for name, log in logs.items()},
            "relay_reads": lambda: relay_reads(logs, min(200, size // POOL_ROWS), repeats),
            "replay_by_time": lambda: replay_by_time(logs["ranges"], *window),
            "appends": lambda: appends(logs, seconds, repeats),
            "housekeeping": lambda: drop_and_delete(logs["ranges"]),
            "forgetting": lambda: forgetting(logs["one piece"], FORGOTTEN // 10 if quick else FORGOTTEN),
            "adopt": lambda: adopted(logs["one piece"], size) | {"events": size},
        }
        for name, step in steps.items():
            result[name] = step()
            report({name: result[name]})
    return result


def report(found: Mapping[str, Any]) -> None:
    """Print a line as soon as it is known."""
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()

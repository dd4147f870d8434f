"""docs/scaling.md: what 1,000 and 10,000 orders a second need, from what the benchmarks measured.

One order's CPU, by program, is that of benchmarks/results/saga.json with the most orders in flight; a relay's limit and
an event's CPU in full batches are those of relay.json. How many of a program there may be is deploy/scaling.toml's.
"""

import json
import math
import statistics
import textwrap
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from devstack.folder import CHECKOUT
from devstack.services import SERVICES
from waybill.contracts.topics import topics

PAGE: Final = CHECKOUT / "docs" / "scaling.md"
RESULTS: Final = CHECKOUT / "benchmarks" / "results"
LIMITS: Final = CHECKOUT / "deploy" / "scaling.toml"
RATES: Final = (100, 1_000, 10_000)  # orders a second
EVENTS: Final = {"order": 4, "inventory": 2, "payment": 2, "notification": 2}  # of an order that is confirmed
SHARED: Final = ("postgres", "kafka", "provider", "mailbox")
NOT_OURS: Final = ("load",)
SHOWN_MS: Final = 0.1  # an order; what costs less idles
WIDTH: Final = 120
MOVES: Final = {
    "web": "raise `at_most` for web in `deploy/scaling.toml`, with connections to match: a pooler "
    "([settings](settings.md#connection-poolers)), or fewer threads in each",
    "worker": "raise `at_most` for worker; the called system then sees 16 attempts at once more for each",
    "consumer": "more partitions by [`outbox grow`](outbox-command.md), and a consumer for each",
    "relay": "nothing, for a database has one leader: past that, the service's aggregates on two databases",
}
Row = Sequence[str]


class Limit(NamedTuple):
    """At how many orders a second a program has no more room, as it is set today, and why."""

    rate: float
    program: str
    why: str


def page() -> str:
    """Return the page."""
    saga, relay = (json.loads((RESULTS / f"{name}.json").read_text()) for name in ("saga", "relay"))
    settings = tomllib.loads(LIMITS.read_text())
    (partitions,) = {topic.partitions for topic in topics() if not topic.written_by}  # what orders go through
    most = {
        kind: partitions if one.get("at_most") == "partitions" else one.get("at_most", 1)
        for kind, one in settings.items()
    }
    busy = settings["web"]["limit_millicores"]
    in_flight, cost = _costs(saga)
    bulk, bulk_rate = _bulk(relay)
    measured = statistics.median(t["sagas"] / t["seconds"] for t in _turns(saga, in_flight))
    ends = sorted(limits(cost, most, bulk_rate))
    text = TEXT.format(
        machine=saga["conditions"]["machine"],
        in_flight=in_flight,
        measured=f"{measured:.0f}",
        whole=f"{sum(cost.values()):.1f}",
        busy=busy / 1000,
        programs=_table(("CPU", *(f"{rate:,} orders/s" for rate in RATES)), _programs(cost, busy)),
        parts=_table(("Part", *(f"{rate:,} orders/s" for rate in RATES)), _parts(cost, partitions, busy)),
        bulk=f"{bulk['peer']:.1f}",
        counted=f"{cost['order.relay'] * 1000 / EVENTS['order']:.0f}",
        broker=f"{bulk['kafka']:.1f}",
        database=f"{bulk['postgres']:.1f}",
        bulk_rate=f"{bulk_rate:,.0f}",
        bulk_orders=f"{bulk_rate / EVENTS['order']:,.0f}",
        limits=_table(("Limit at, orders/s", "Of", "What moves it"), _limit_rows(saga, cost, ends, measured)),
        postgres=f"{cost['postgres']:.1f}",
        cores=f"{cost['postgres'] * 10:.0f}",
    )
    return "\n\n".join(map(_filled, text.split("\n\n")))


def _filled(paragraph: str) -> str:
    return paragraph if paragraph.startswith(("#", "|")) else textwrap.fill(paragraph, WIDTH, break_long_words=False)


def _turns(saga: Mapping[str, Any], in_flight: int) -> Iterator[Mapping[str, Any]]:
    return (t for t in saga["turns"] if (t["who"], t["in_flight"]) == ("waybill", in_flight))


def _costs(saga: Mapping[str, Any]) -> tuple[int, dict[str, float]]:
    """Return the most orders in flight that were measured, and an order's CPU then, in ms by program."""
    in_flight = max(t["in_flight"] for t in saga["turns"] if t["who"] == "waybill")
    turns = [t["cpu_ms"] for t in _turns(saga, in_flight)]
    names = {name for turn in turns for name in turn} - {*NOT_OURS}
    found = {name: statistics.median(turn.get(name, 0) for turn in turns) for name in sorted(names)}
    return in_flight, {name: ms for name, ms in found.items() if ms >= SHOWN_MS}


def _bulk(relay: Mapping[str, Any]) -> tuple[dict[str, float], float]:
    """Return the CPU of an event in full batches, in µs, and the events a second of one relay."""
    size = max(run["events"] for run in relay["runs"] if run["phase"].startswith("throughput"))
    runs = [
        r for r in relay["runs"] if r["phase"].startswith("throughput") and (r["peer"], r["events"]) == ("relay", size)
    ]
    cpu = {name: statistics.median(r["cpu_us"][name] for r in runs) for name in ("peer", "kafka", "postgres")}
    return cpu, statistics.median(r["events"] / r["seconds"] for r in runs)


def _kind(program: str) -> str:
    return program.rpartition(".")[2]


def limits(cost: Mapping[str, float], most: Mapping[str, int], bulk_rate: float) -> Iterator[Limit]:
    """Yield where each program ends: it can use one core, in as many processes as it may have."""
    for program, ms in cost.items():
        kind = _kind(program)
        if kind == "relay":
            rate = bulk_rate / EVENTS[program.partition(".")[0]]
            yield Limit(rate, program, f"one leads, {bulk_rate:,.0f} events/s in full batches")
        elif kind in most:
            yield Limit(most[kind] * 1000 / ms, program, f"{most[kind]} of one core each, {ms:.2f} ms an order")


def _programs(cost: Mapping[str, float], busy: int) -> Iterator[Row]:
    for program, ms in sorted(cost.items(), key=lambda one: (-one[1], one[0])):
        if program not in SHARED:
            yield program, *(needs(program, rate * ms, busy) for rate in RATES)


def needs(program: str, millicores: float, busy: int) -> str:
    """Return how many processes keep below `busy` millicores each, and the cores of all; of a relay the cores alone."""
    if _kind(program) == "relay":
        return f"{millicores / 1000:.1f} cores"
    return f"{max(1, math.ceil(millicores / busy))} ({millicores / 1000:.1f} cores)"


def _parts(cost: Mapping[str, float], partitions: int, busy: int) -> Iterator[Row]:
    for part in SHARED[:2]:
        yield part, *(f"{rate * cost[part] / 1000:.1f} cores" for rate in RATES)
    slowest = max(ms for program, ms in cost.items() if _kind(program) == "consumer")
    needed = (max(partitions, math.ceil(rate * slowest / busy)) for rate in RATES)
    yield "partitions of a topic", *(str(one) for one in needed)
    yield "events on Kafka a second", *(f"{rate * sum(EVENTS.values()):,} at most" for rate in RATES)
    yield "databases", *(str(len([*SERVICES])) for _ in RATES)


def _limit_rows(
    saga: Mapping[str, Any], cost: Mapping[str, float], ends: Sequence[Limit], measured: float
) -> Iterator[Row]:
    cores = int(saga["conditions"]["machine"].split()[0])
    all_cores = (
        f"all programs on {cores} cores: {sum(cost.values()):.1f} ms an order, and {measured:.0f}/s were measured"
    )
    yield f"{cores * 1000 / sum(cost.values()):,.0f}", all_cores, "more cores, or the programs on machines of their own"
    for limit in ends:
        yield f"{limit.rate:,.0f}", f"{limit.program}: {limit.why}", MOVES[_kind(limit.program)]


def _table(head: Row, rows: Iterator[Row]) -> str:
    return "".join(f"| {' | '.join(cells)} |\n" for cells in (head, ["---"] * len(head), *rows))


TEXT: Final = """# What 1,000 and 10,000 orders a second need

Made by `make docs` from what the benchmarks measured (`catalogue/scaling.py`), and new with each new figure. It is
arithmetic, not a measurement: nobody has run 1,000 orders a second here. Measured is one machine with
{machine}: {measured} orders/s with {in_flight} in flight, and {whole} ms of CPU for each, without the load itself.
When a program gets another instance, and why there are no more: [more of a program](explanation/scaling.md).

An order is taken to cost what it costs there. That is more than it would cost at these rates, since batches grow with
the rate: a relay that sends full batches needs {bulk} µs for an event
([benchmarks](benchmarks.md#the-relay-and-its-peers)), its broker {broker} and its database {database}, where that of
the order service is counted with {counted} here. So the figures are upper bounds, but for the POST, which nobody
shares.

## Programs

Processes, each kept below {busy} of a core as `deploy/scaling.toml` has it for web, and their cores in all. A relay is
one process that leads and one that stands by, at any rate; one publishes up to {bulk_rate} events/s, which
are {bulk_orders} orders/s of the order service.

{programs}
A worker also waits for whom it calls, with `WAYBILL_WORKER_THREADS` (16) attempts at once in each process. With a
provider that answers in 0.25 s one takes 64 calls/s, and the four that `deploy/scaling.toml` allows 256: then this is
the first limit on the way to 1,000 orders/s, which need 250 attempts at once; 10,000 need 2,500. More threads move it,
and more workers; what the provider allows comes first.

## Databases, Kafka

{parts}
Each service has a database of its own, which may be a server of its own. At 10,000 orders/s the four take {cores} cores
together, at {postgres} ms an order; commits share their waits for the disk. Past one server's cores the service's
aggregates go to two databases with a relay each: nothing in the library does that yet.

## What is met first

With what is set today, from the lowest limit to the highest; each holds once those above it are moved.

{limits}"""

"""What is measured, each phase with those that take part in it interleaved."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import psycopg

from benchmarks.meter import Meter, Run, measure, p50_and_p99, wait_for_end
from benchmarks.open_loop import latencies_ms
from benchmarks.peers.bare import AS_THE_RELAY, Bare
from benchmarks.peers.debezium import Debezium, make_room, make_slot
from benchmarks.peers.ours import Relay
from benchmarks.peers.process import Peer
from benchmarks.peers.published import Published
from benchmarks.rows import Writer, lay_out
from benchmarks.same_records import check
from benchmarks.stage import Stage, Topic, database, execute
from devstack.harness.databases import ServiceDatabase

T = TypeVar("T")
ROWS_A_TRANSACTION: Final = 10
ORDER_ROWS_A_TRANSACTION: Final = 2  # where the number of transactions matters
LATENCY_RATE: Final = 500
CHECKED: Final = 3_000
NOT_COUNTED: Final = "warm-up, not counted"
STEADY_SECONDS: Final = 1.0


@dataclass(frozen=True)
class Plan:
    """How much of everything."""

    sizes: Sequence[int]
    repeats: int
    pairs: int  # of a disturbed run and a quiet one, which are short
    warm_up: int
    published_rows: int
    latency_events: int
    idle_seconds: float
    logs: Sequence[int]
    outage_events: int


@dataclass
class Figures:
    """What was measured."""

    runs: list[Run] = field(default_factory=list[Run])
    latencies: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    idle: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    transactions: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])

    def add(self, run: Run) -> None:
        """Keep a run, and print it."""
        self.runs.append(run)
        cpu = "  ".join(f"{name} {us:.1f}" for name, us in run.cpu_us.items())
        print(
            f"{run.phase:<28} {run.repeat} {run.peer:<22} {run.events:>9,} {run.rate:>9,.0f}/s  CPU us: {cpu}"
            f"  {run.peak_bytes / 1e6:.0f} MB",
            flush=True,
        )


def rotated(items: Sequence[T], by: int) -> list[T]:
    """Return the items, starting with another one each time."""
    by %= len(items)
    return [*items[by:], *items[:by]]


class Contest:
    """All peers on one stage: throughput, latency, idling."""

    def __init__(self, stage: Stage, plan: Plan, figures: Figures, stack: ExitStack) -> None:
        """Start everybody and warm them up; the stack ends them."""
        self._stage, self._plan, self._figures = stage, plan, figures
        self._database = stack.enter_context(database(stage))
        self._topic = stage.make_topic("order.bench.v1")
        self._other_topic = stage.make_topic("published.bench.v1")
        lay_out(self._database)
        make_room(self._database)
        self._writer = Writer(self._database, self._topic.name)
        self._relay = stack.enter_context(Relay(stage, self._database))
        self._debezium = stack.enter_context(Debezium(stage, self._database))
        self._from_memory = [
            stack.enter_context(Bare(stage, self._topic.name)),
            stack.enter_context(Bare(stage, self._topic.name, "bare_as_relay", AS_THE_RELAY)),
        ]
        self._published = stack.enter_context(Published(stage, stack.enter_context(database(stage))))
        self._debezium.wait_until_streaming(self._database)
        self._outbox_peers: list[Relay | Debezium] = [self._relay, self._debezium]
        for peer in self._outbox_peers:
            peer.hold()
        self._check()
        self._throughput(plan.warm_up, repeat=0, phase=NOT_COUNTED)
        self._throughput_of_published(min(plan.warm_up, plan.published_rows // 10), 0, NOT_COUNTED)
        execute(self._database.superuser_url, "ANALYZE waybill_outbox")

    def _check(self) -> None:
        self._writer.append(CHECKED, size=ROWS_A_TRANSACTION)
        for peer in self._outbox_peers:
            measure(self._stage, peer, self._topic, CHECKED, phase=NOT_COUNTED, repeat=0)
        check(self._stage, self._topic, CHECKED)

    def throughput(self) -> None:
        """Measure everybody on each size, in another sequence each time."""
        for repeat in range(1, self._plan.repeats + 1):
            for size in self._plan.sizes:
                self._throughput(size, repeat, f"throughput {size:,}")
            self._throughput_of_published(self._plan.published_rows, repeat, f"throughput {self._plan.sizes[0]:,}")

    def _throughput(self, events: int, repeat: int, phase: str) -> None:
        self._writer.append(events, size=ROWS_A_TRANSACTION)
        self._stage.write_out()
        for peer in rotated([*self._outbox_peers, *self._from_memory], repeat):
            self._figures.add(measure(self._stage, peer, self._topic, events, phase=phase, repeat=repeat))

    def _throughput_of_published(self, rows: int, repeat: int, phase: str) -> None:
        self._published.hold()
        self._published.fill(self._other_topic.name, rows)
        self._stage.write_out()
        run = measure(self._stage, self._published, self._other_topic, rows, phase=phase, repeat=repeat)
        self._figures.add(run)

    def latency(self) -> None:
        """Measure commit to consumed, and what a trickle costs; Debezium's producer does not linger here."""
        self._debezium.release()
        self._debezium.change(**{"producer.override.linger.ms": "0"})
        self._debezium.wait_until_streaming(self._database)
        self._debezium.hold()
        for repeat in range(1, self._plan.repeats + 1):
            for peer in rotated(self._outbox_peers, repeat):
                self._run_dry(peer)
                self._latencies(peer, LATENCY_RATE)  # one second, not counted
                self._figures.latencies.append(self._latency_of(peer, repeat))
                peer.hold()

    def _latency_of(self, peer: Peer, repeat: int) -> dict[str, Any]:
        events, meter = self._plan.latency_events, Meter(self._stage, peer)
        found = self._latencies(peer, events)
        cpu_us = {name: seconds * 1e6 / events for name, seconds in meter.seconds().items()}
        p50, p99 = p50_and_p99(found)
        print(f"latency at {LATENCY_RATE}/s {repeat} {peer.name:<22} p50 {p50:.2f} ms, p99 {p99:.2f} ms", flush=True)
        return {"peer": peer.name, "repeat": repeat, "p50_ms": p50, "p99_ms": p99, "cpu_us": cpu_us}

    def _latencies(self, peer: Peer, events: int) -> list[float]:
        return latencies_ms(self._stage, self._database, self._topic, peer, rate=LATENCY_RATE, events=events)

    def idle(self) -> None:
        """Measure what each costs with nothing to do."""
        for repeat in range(1, self._plan.repeats + 1):
            for peer in rotated(self._outbox_peers, repeat):
                self._run_dry(peer)
                time.sleep(self._plan.idle_seconds / 5)  # polls grow rarer with time
                meter, started = Meter(self._stage, peer), time.perf_counter()
                time.sleep(self._plan.idle_seconds)  # what is measured
                seconds = time.perf_counter() - started
                percent = {name: spent / seconds * 100 for name, spent in meter.seconds().items() if name != "load"}
                peer.hold()
                self._figures.idle.append({"peer": peer.name, "repeat": repeat, "percent": percent})
                shown = ", ".join(f"{name} {value:.2f} %" for name, value in percent.items())
                print(f"idle {repeat} {peer.name:<22} of one core: {shown}")

    def _run_dry(self, peer: Peer) -> None:
        """Let a peer go and publish what was written while it was held; return when nothing more comes."""
        peer.release()
        last, since = -1, time.monotonic()
        while time.monotonic() - since < STEADY_SECONDS:
            if (end := self._topic.end()) != last:
                last, since = end, time.monotonic()
            time.sleep(0.05)  # a look costs the broker CPU, and nothing is measured yet


@contextmanager
def session(url: str, *statements: str) -> Iterator[None]:
    """Keep a session open that has done something and not ended its transaction."""
    with psycopg.connect(url) as connection:
        for statement in statements:
            connection.execute(statement)
        yield
        connection.rollback()


UNRELATED: Final = "UPDATE pool SET metadata = metadata WHERE id = 0"
SNAPSHOT: Final = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"
WROTE: Final = """
INSERT INTO waybill_outbox (event_id, topic, aggregate_type, aggregate_id, aggregate_version, event_type,
                    schema_version, payload, metadata)
SELECT gen_random_uuid(), topic, 'order', 'never', 1, event_type, schema_version, payload, metadata FROM waybill_outbox
LIMIT 1
"""
DISTURBANCES: Final[dict[str, Callable[[str], AbstractContextManager[None]]]] = {
    "quiet": lambda _: nullcontext(),
    "an unrelated transaction": lambda url: session(url, UNRELATED),
    "a session that wrote": lambda url: session(url, WROTE),
    "xmin held": lambda url: session(url, SNAPSHOT, "SELECT count(*) FROM pool"),
    "1 in 5 rolled back": lambda _: nullcontext(),
}


IN_TRANSACTIONS: Final = {"WAYBILL_RELAY_TRANSACTIONS": "true"}
TRANSACTIONS: Final[dict[str, dict[str, str]]] = {
    "no transactions": {},
    "transactions of 2,000": IN_TRANSACTIONS,
    "transactions of 20,000": IN_TRANSACTIONS | {"WAYBILL_RELAY_BATCH_ROWS": "20000"},
}


@dataclass(frozen=True)
class Recorded:
    """How far the relay says it is: on the topic, the transactions' own markers have offsets, too."""

    database: ServiceDatabase
    name: str = "waybill_outbox_cursor"

    def end(self) -> int:
        """Return the durable position."""
        return execute(self.database.superuser_url, "SELECT position FROM waybill_outbox_cursor")[0][0]


def disturbed(stage: Stage, plan: Plan, figures: Figures) -> None:
    """Measure the relay beside what must not disturb it."""
    with database(stage) as own:
        topic = stage.make_topic("disturbed.bench.v1")
        lay_out(own)
        writer = Writer(own, topic.name)
        with Relay(stage, own) as ours:
            _warm_up(stage, ours, topic, writer, plan.warm_up)
            execute(own.superuser_url, "ANALYZE waybill_outbox")
            for repeat in range(1, plan.pairs + 1):
                for name in rotated(list(DISTURBANCES), repeat):
                    with DISTURBANCES[name](own.owner_url):
                        rolled_back_in = 5 if name == "1 in 5 rolled back" else 0
                        writer.append(plan.sizes[0], size=ORDER_ROWS_A_TRANSACTION, rolled_back_in=rolled_back_in)
                        stage.write_out()
                        figures.add(measure(stage, ours, topic, plan.sizes[0], phase=name, repeat=repeat))
                    ours.release()
                    ours.forget_gaps()
                    ours.hold()


def flatness(stage: Stage, plan: Plan, figures: Figures) -> None:
    """Measure the relay on a short log, new each time, and on a long one."""
    short, long = plan.logs
    topic = stage.make_topic("log.bench.v1")
    with ExitStack() as stack:
        kept = _with_log(stage, stack, topic, long)
        for repeat in range(1, plan.pairs + 1):
            with ExitStack() as passing:
                fresh = _with_log(stage, passing, topic, short)
                for rows, (ours, writer) in rotated([(short, fresh), (long, kept)], repeat):
                    writer.append(plan.sizes[0], size=ROWS_A_TRANSACTION)
                    stage.write_out()
                    phase = f"{rows:,} in the log"
                    figures.add(measure(stage, ours, topic, plan.sizes[0], phase=phase, repeat=repeat))


def _with_log(stage: Stage, stack: ExitStack, topic: Topic, rows: int) -> tuple[Relay, Writer]:
    """Start a warm relay on an outbox that holds so many events, all of them published as far as it knows."""
    own = stack.enter_context(database(stage))
    lay_out(own)
    writer = Writer(own, topic.name)
    writer.append(rows, size=max(ROWS_A_TRANSACTION, rows // 100))
    execute(own.superuser_url, "VACUUM (ANALYZE) waybill_outbox")
    execute(own.superuser_url, "UPDATE waybill_outbox_cursor SET position = (SELECT max(position) FROM waybill_outbox)")
    ours = stack.enter_context(Relay(stage, own))
    _warm_up(stage, ours, topic, writer, min(rows, 20_000))
    return ours, writer


def _warm_up(stage: Stage, ours: Relay, topic: Topic | Recorded, writer: Writer, rows: int) -> None:
    wanted = topic.end() + rows
    writer.append(rows, size=ROWS_A_TRANSACTION)
    wait_for_end(topic, ours, wanted, 60)
    ours.settle()
    ours.hold()
    stage.write_out()


def transactions(stage: Stage, plan: Plan, figures: Figures) -> None:
    """Measure what Kafka transactions cost, in rate and in latency."""
    with database(stage) as own:
        topic, recorded = stage.make_topic("transactions.bench.v1"), Recorded(own)
        lay_out(own)
        writer = Writer(own, topic.name)
        writer.append(plan.warm_up, size=ROWS_A_TRANSACTION)
        execute(own.superuser_url, "ANALYZE waybill_outbox")
        for repeat in range(1, plan.repeats + 1):
            for name in rotated(list(TRANSACTIONS), repeat):
                with Relay(stage, own, **TRANSACTIONS[name]) as ours:
                    _warm_up(stage, ours, recorded, writer, plan.warm_up // 10)
                    writer.append(plan.sizes[0], size=ROWS_A_TRANSACTION)
                    stage.write_out()
                    figures.add(measure(stage, ours, recorded, plan.sizes[0], phase=name, repeat=repeat))
                    ours.release()
                    events = plan.latency_events // 3
                    found = latencies_ms(stage, own, topic, ours, rate=LATENCY_RATE, events=events)
                    p50, p99 = p50_and_p99(found)
                    print(f"latency, {name} {repeat}: p50 {p50:.2f} ms, p99 {p99:.2f} ms", flush=True)
                    figures.transactions.append({"phase": name, "repeat": repeat, "p50_ms": p50, "p99_ms": p99})


def catching_up(stage: Stage, plan: Plan, figures: Figures) -> None:
    """Measure a start from nothing behind what 15 minutes of outage left, the start included."""
    for repeat in range(1, plan.repeats + 1):
        with database(stage) as own:
            topic = stage.make_topic(f"outage.bench.v{repeat}")
            lay_out(own)
            make_room(own)
            make_slot(own)
            Writer(own, topic.name).append(plan.outage_events, size=ORDER_ROWS_A_TRANSACTION)
            execute(own.superuser_url, "ANALYZE waybill_outbox")
            stage.write_out()
            for start in rotated([Relay, Debezium], repeat):
                figures.add(_cold(stage, own, topic, start, plan.outage_events, repeat))


def _cold(stage: Stage, own: ServiceDatabase, topic: Topic, start: Callable[..., Any], events: int, repeat: int) -> Run:
    wanted, started = topic.end() + events, time.perf_counter()
    with start(stage, own) as peer:
        meter = Meter(stage, peer)
        ended = wait_for_end(topic, peer, wanted, 120 + events / 200)
        peer.settle()
        return Run(
            phase="after an outage",
            peer=peer.name,
            repeat=repeat,
            events=events,
            seconds=ended - started,
            cpu_us={name: seconds * 1e6 / events for name, seconds in meter.seconds().items()},
            peak_bytes=peer.peak_bytes(),
        )

"""What a run cost and how long it took: CPU seconds by process, resident memory, and the topic's own word for done."""

import math
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import psutil

from benchmarks.peers.process import Peer
from benchmarks.stage import Stage, Topic

LOOK_SECONDS: Final = 0.005  # how exactly the end is seen; more often would load the broker
AFTERWARDS_SECONDS: Final = 0.2  # what a peer still does once its last record has arrived is counted, as CPU only
SLOWEST_PER_SECOND: Final = 200


def p50_and_p99(values: Sequence[float]) -> tuple[float, float]:
    """Return the median, and the value that 99 of 100 do not exceed (nearest rank)."""
    ordered = sorted(values)
    return statistics.median(ordered), ordered[math.ceil(len(ordered) * 99 / 100) - 1]


@dataclass(frozen=True)
class Run:
    """One measurement of one peer."""

    phase: str
    peer: str
    repeat: int
    events: int
    seconds: float
    cpu_us: Mapping[str, float]  # per event, by process: the peer itself, broker, database, load
    peak_bytes: int

    @property
    def rate(self) -> float:
        """Return events per second."""
        return self.events / self.seconds


class Meter:
    """CPU seconds of every process that takes part, from its making on."""

    def __init__(self, stage: Stage, peer: Peer) -> None:
        self._processes = {
            "peer": psutil.Process(peer.pid),
            "kafka": psutil.Process(stage.pid("kafka")),
            "postgres": psutil.Process(stage.pid("postgres")),
            "load": psutil.Process(),
        }
        self._before = self._now()

    def seconds(self) -> dict[str, float]:
        """Return the CPU seconds of each process since then."""
        return {name: now - self._before[name] for name, now in self._now().items()}

    def _now(self) -> dict[str, float]:
        return {name: family_seconds(process) for name, process in self._processes.items()}


def family_seconds(process: psutil.Process) -> float:
    """Return what a process and its children have used, those that have ended included."""
    total = sum(process.cpu_times()[:4])
    for child in process.children(recursive=True):
        try:
            total += sum(child.cpu_times()[:2])
        except psutil.NoSuchProcess:
            continue
    return total


def wait_for_end(topic: Topic, peer: Peer, wanted: int, deadline_seconds: float) -> float:
    """Return the time (perf_counter) at which the topic has so many records; raises AssertionError at the deadline."""
    deadline = time.perf_counter() + deadline_seconds
    while (end := topic.end()) < wanted:
        peer.fail_if_dead()
        if time.perf_counter() > deadline:
            raise AssertionError(f"{peer.name}: {wanted - end} records are missing on {topic.name}\n{peer.tail()}")
        time.sleep(LOOK_SECONDS)  # a look costs the broker CPU, which is measured
    at = time.perf_counter()
    assert end == wanted, f"{peer.name}: {end - wanted} records too many on {topic.name}"
    return at


def measure(stage: Stage, peer: Peer, topic: Topic, events: int, *, phase: str, repeat: int) -> Run:
    """Let a peer go that is held before so many events, and hold it again when the topic has them all."""
    wanted = topic.end() + events
    meter, started = Meter(stage, peer), time.perf_counter()
    peer.release(events)
    ended = wait_for_end(topic, peer, wanted, 60 + events / SLOWEST_PER_SECOND)
    time.sleep(AFTERWARDS_SECONDS)  # what a peer does after its last record belongs to its cost
    spent = meter.seconds()
    peer.settle()
    peer.hold()
    return Run(
        phase=phase,
        peer=peer.name,
        repeat=repeat,
        events=events,
        seconds=ended - started,
        cpu_us={name: seconds * 1e6 / events for name, seconds in spent.items()},
        peak_bytes=peer.peak_bytes(),
    )

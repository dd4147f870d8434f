"""What Prometheus would have stored during an outage: recorded, kept compact, and given to promtool.

A recording's file maps samples, run-length encoded (`1*6 0*12 _*3`: `_` is no sample), to the series that have them,
and each series to the programs that show it.
"""

import json
import re
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Self

import httpx2 as httpx
from prometheus_client.parser import text_string_to_metric_families

from tests.support.alerts import OUTAGE_ALERTS, selectors

FOLDER = Path(__file__).with_name("recordings")
INTERVAL_SECONDS = 10
SCRAPE_SECONDS = 5
SCRAPES_AT_ONCE = 20
OWN = re.compile(r'instance="([^"]*)",job="\1"(,?)')

Samples = dict[str, float]  # series → value, of one scrape
Targets = Callable[[], Mapping[str, int]]  # job → port, of all programs that should answer


@dataclass
class Recording:
    """One outage. `outage_at` is the number of the sample before which all was well."""

    outage: str
    outage_at: int
    series: dict[str, list[str]]

    @property
    def file(self) -> Path:
        return FOLDER / f"{re.sub(r'[^a-z0-9]+', '-', self.outage.lower()).strip('-')}.json"

    @property
    def length(self) -> int:
        """How many samples a series has."""
        return len(next(iter(self.series.values())))

    def write(self) -> None:
        by_samples: defaultdict[str, defaultdict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
        for series, samples in sorted(self.series.items()):
            ((job, _),) = OWN.findall(series)
            by_samples[_encoded(samples)][OWN.sub("", series)].append(job)
        shown = {samples: {s: " ".join(jobs) for s, jobs in found.items()} for samples, found in by_samples.items()}
        kept = {"outage": self.outage, "interval_seconds": INTERVAL_SECONDS, "outage_at": self.outage_at}
        FOLDER.mkdir(exist_ok=True)
        self.file.write_text(json.dumps({**kept, "samples": shown}, indent=1) + "\n")


def read(file: Path) -> Recording:
    kept = json.loads(file.read_text())
    assert kept["interval_seconds"] == INTERVAL_SECONDS, f"{file} was recorded at another interval; record it anew"
    series = {
        one.replace("{", f"{{{_own(job)}{'' if one.endswith('{}') else ','}", 1): _decoded(samples)
        for samples, found in kept["samples"].items()
        for one, jobs in found.items()
        for job in jobs.split()
    }
    return Recording(kept["outage"], kept["outage_at"], series)


def _encoded(samples: list[str]) -> str:
    return " ".join(f"{value}*{len(list(run))}" for value, run in groupby(samples))


def _decoded(text: str) -> list[str]:
    runs = (run.rsplit("*", 1) for run in text.split())
    return [value for value, count in runs for _ in range(int(count))]


@dataclass
class Recorder:
    """Scrapes every program at each interval, from a thread of its own, until it is stopped."""

    targets: Targets
    taken: list[Samples] = field(default_factory=list)
    _over: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def recorded(self, outage: str, outage_at: int) -> Recording:
        """Return what was recorded until now."""
        taken = list(self.taken)
        names = sorted(set[str]().union(*taken))
        return Recording(outage, outage_at, {name: [_text(samples.get(name)) for samples in taken] for name in names})

    def _run(self) -> None:
        begun = time.monotonic()
        with ThreadPoolExecutor(SCRAPES_AT_ONCE) as threads:
            while not self._over.is_set():
                found: Samples = {}
                for samples in threads.map(_scrape, *zip(*self.targets().items(), strict=True)):
                    found |= samples
                self.taken.append(found)
                self._over.wait(begun + len(self.taken) * INTERVAL_SECONDS - time.monotonic())


def _scrape(job: str, port: int) -> Samples:
    """Return what the rules read of a program's series, with the labels that Prometheus adds."""
    read = {selector for alert in OUTAGE_ALERTS for selector in selectors(alert.expression)}
    up = f"up{{{_own(job)}}}"
    try:
        answer = httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=SCRAPE_SECONDS, trust_env=False)
        families = list(text_string_to_metric_families(answer.raise_for_status().text))
    except (httpx.HTTPError, OSError, ValueError):
        return {up: 0}
    shown = {
        f"{sample.name}{{{','.join([_own(job), *_told(sample.labels)])}}}": sample.value
        for family in families
        for sample in family.samples
        if any(selector.takes(sample.name, sample.labels) for selector in read)
    }
    return shown | {up: 1}


def _own(job: str) -> str:
    return f'instance="{job}",job="{job}"'


def _told(labels: Mapping[str, str]) -> list[str]:
    return [f'{label}="{value}"' for label, value in sorted(labels.items())]


def _text(value: float | None) -> str:
    return "_" if value is None else f"{round(value, 1):g}" if value == value else "NaN"  # noqa: PLR0124 - NaN is not itself

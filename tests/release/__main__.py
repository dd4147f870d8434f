"""`make release-tests`: every service released to other code under load, taken back in the middle, and contracted.

The load is on the order service all the time: orders at a rate that waits for nobody, each on a connection of its own,
and clients that keep theirs. It begins with a while without a release, which the p99 is compared with. The last line is
JSON: releases, failed requests, orders harmed, p99 in releases by that of before, and how often a release was taken
back. Exit code 0 where no request failed and no order was harmed.
"""

import argparse
import json
import math
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from devstack.harness import stack as stacks
from devstack.harness.interrupts import end_tidily
from devstack.harness.stack import Stack
from tests.release import load, shop, versions
from tests.release.versions import CHANGES, Version

RATE: Final = 10
BEFORE_SECONDS: Final = 20.0
BESIDE_SECONDS: Final = 5.0  # old and new code side by side, before the release is taken back
READY: Final = ("--ready", "300")  # a loaded machine takes minutes
P99_SECONDS: Final = 1.0  # what bounds it: as at overload (benchmarks/overload.py)


@dataclass
class Course:
    """What was done so far."""

    stack: Stack
    folder: Path
    spans: list[tuple[float, float]] = field(default_factory=list)
    releases: int = 0
    taken_back: int = 0

    @contextmanager
    def measured(self) -> Iterator[None]:
        """Count the block's time as one of a release."""
        began = time.time()
        yield
        self.spans.append((began, time.time()))

    def released(self, version: Version, *options: str, code: int = 0) -> shop.Ran:
        """Release the version; it must end with this exit code."""
        with self.measured():
            ran = shop.release(self.stack, version.service, "--source", str(version.folder), *READY, *options)
        self.say(f"{version.service} {version.folder.name} {' '.join(options)}", ran, code)
        self.releases += code == 0
        return ran

    def ordered(self, service: str, option: str, code: int = 0) -> shop.Ran:
        """Take back, or contract."""
        with self.measured():
            ran = shop.release(self.stack, service, option, *READY)
        self.say(f"{service} {option}", ran, code)
        return ran

    def say(self, what: str, ran: shop.Ran, code: int) -> None:
        """Tell how long it took, and fail where it ended otherwise."""
        began, ended = self.spans[-1]
        print(f"{ended - began:5.1f} s  {what}: {ran.code}", file=sys.stderr, flush=True)
        assert ran.code == code, ran.said

    def version(self, make: str, service: str) -> Version:
        """Make another version of a service's code."""
        folder = self.folder / f"{service}-{make}"
        folder.mkdir()
        return getattr(versions, f"{make}_version")(folder, service)


def take(course: Course, services: list[str]) -> None:
    """Release each service; the first one is taken back in the middle before, and contracted after."""
    first = services[0]
    following = course.version("next", first)
    course.released(following, "--until", "web")
    time.sleep(BESIDE_SECONDS)  # the load goes on: new code takes orders, old code reacts to them
    course.ordered(first, "--roll-back")
    course.taken_back += 1
    refused = course.released(course.version("locking", first), code=1)
    assert "require-concurrent-index-creation" in refused.said, refused.said
    course.released(following)
    for service in services[1:]:
        course.released(course.version("next", service))
    broken = course.released(course.version("broken", "payment"), "--steady", "1", code=1)
    assert "taken back: payment.worker keeps ending while it starts" in broken.said, broken.said
    course.taken_back += 1
    last = course.version("last", first)
    course.released(last, "--until", "web")
    early = course.ordered(first, "--contract", code=1)
    assert "still runs, and could not live with it" in early.said, early.said
    course.released(last)
    course.ordered(first, "--contract")


def both_versions_written(stack: Stack, services: list[str]) -> bool:
    """Tell whether each service's changed event was written by code of before and by that of its release."""
    good = True
    for service in services:
        counts = shop.written(stack, service, CHANGES[service].event)
        print(f"{service}: {CHANGES[service].event} by version: {counts}", file=sys.stderr)
        good &= len(counts) >= 2
    return good


def p99(seconds: list[float]) -> float:
    """Return the 99th percentile."""
    return sorted(seconds)[math.ceil(len(seconds) * 0.99) - 1]


def main() -> int:
    """Run all of it on a stack of its own, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.release", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="release the order and the payment service only")
    services = ["order", "payment"] if parser.parse_args().quick else list(CHANGES)
    end_tidily()
    with tempfile.TemporaryDirectory(prefix="waybill-release-", ignore_cleanup_errors=True) as name:
        home, code = Path(name) / "stack", Path(name) / "code"
        code.mkdir()
        with stacks.running(home) as stack:
            tokens = [stack.token(f"release-customer-{n}") for n in range(4)]
            shop.fill(stack, tokens)
            before, began = shop.orders(stack), time.time()
            course = Course(stack, code)
            with load.running(urlsplit(stack.urls["order"]).port or 0, tokens, RATE) as told:
                time.sleep(BEFORE_SECONDS)  # the load's own pace, to compare with
                calm_end = time.time()
                take(course, services)
            placed = shop.orders(stack) - before
            harmed = shop.harmed(stack)
            both = both_versions_written(stack, services)
    calm = p99(told.between(began + BEFORE_SECONDS / 4, calm_end))
    during = p99([one for span in course.spans for one in told.between(*span)])
    for line in (*harmed[:20], *(f"failed at {at - began:.1f} s: {status}" for at, status in told.failed[:20])):
        print(line, file=sys.stderr)
    lost = told.placed - placed
    print(f"{len(told.outcomes)} requests, {told.placed} orders accepted, {placed} kept", file=sys.stderr)
    figures = {
        "releases": course.releases,
        "failed_requests": len(told.failed),
        "orders_harmed": len(harmed) + abs(lost),
        "p99_ms": round(during * 1e3, 1),
        "p99_ms_before": round(calm * 1e3, 1),
        "p99_ratio": round(during / calm, 2),
        "taken_back": course.taken_back,
    }
    print(json.dumps(figures))
    return 0 if both and not told.failed and not figures["orders_harmed"] and during <= P99_SECONDS else 1


if __name__ == "__main__":
    sys.exit(main())

"""Go through every incident in each medium that mends it in a way of its own, and keep what it took."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from devstack import parts
from devstack.harness.stack import CHECKOUT
from tests.chaos.stage import Stage
from tests.console import incidents
from tests.console.browser import Browser, window
from tests.console.incidents import Story
from tests.console.shift import FIND_SECONDS, Console, Incident, Medium, Terminal
from tests.e2e.night.operator import REPAIR_SECONDS, Operator, until

SCREENS = (
    "orders", "attention", "failures", "redrives", "replays", "tasks", "relays", "topics", "audit",
)  # fmt: skip
WAVES, WAVE = 16, 10  # of orders before the night, not all at once: they would wait for each other
GONE_SECONDS = 90  # in which a finding is gone once its cause is


@dataclass(frozen=True)
class Passage:
    """One incident, found and mended in one medium; seconds and actions are None where it did not come so far."""

    incident: str
    medium: str
    found_after: float | None
    find_actions: int | None
    mended_after: float | None
    mend_actions: int | None
    failure: str = ""


@dataclass
class Night:
    """All that was gone through, and what was wrong with the screens."""

    passages: list[Passage] = field(default_factory=list[Passage])
    wrong: list[str] = field(default_factory=list[str])
    violations: int = 0

    @property
    def failed(self) -> bool:
        """Tell whether anything was not as it should be."""
        return bool(self.wrong) or any(one.failure for one in self.passages)

    def summary(self) -> dict[str, int]:
        """Return the figures."""

        def found(medium: str) -> int:
            return sum(one.medium == medium and one.found_after is not None for one in self.passages)

        return {
            "situations": len({one.incident for one in self.passages}),
            "found_in_browser": found("browser"),
            "found_in_terminal": found("terminal"),
            "mended": len({one.incident for one in self.passages if not one.failure}),
            "axe_violations": self.violations,
        }

    def table(self) -> Iterator[str]:
        """Yield the rows as Markdown."""
        yield "| Incident | In the | Found after | Actions | Mended after | Actions | |"
        yield "|---|---|---|---|---|---|---|"
        for one in self.passages:
            cells = (one.incident, one.medium, _s(one.found_after), one.find_actions, _s(one.mended_after))
            yield f"| {' | '.join(map(str, cells))} | {one.mend_actions} | {one.failure[:200]} |"


def through(
    stage: Stage, words: Sequence[str], browser: str | None, screenshots: Path, say: Callable[[str], None]
) -> Night:
    """Go through the incidents whose name has one of the words, all where there are none."""
    operator, night = Operator(stage), Night()
    chosen = {name: one for name, one in incidents.INCIDENTS.items() if not words or any(w in name for w in words)}
    opened = window(browser, stage.stack.urls["console"], screenshots) if browser else nullcontext(None)
    with opened as seen:
        if seen is not None:
            seen.sign_in(_link(stage))
            _go_round(seen)
        _history(operator)
        for name, story in chosen.items():
            media: list[Medium] = [Terminal(operator), *([Console(seen)] if seen else [])]
            for medium in media:
                say(f"{name}: in the {medium.name}")
                passage = _live_through(name, story, operator, medium, media)
                say(f"  {passage}")
                night.passages.append(passage)
        if seen is not None:
            _go_round(seen)
            night.wrong += [*seen.wrong, *(f"axe: {' '.join(at)}: {said}" for at, said in seen.violations.items())]
            night.violations = len(seen.violations)
    return night


def _live_through(name: str, story: Story, operator: Operator, medium: Medium, media: Sequence[Medium]) -> Passage:
    found_after = find_actions = mended_after = mend_actions = None
    failure, told = "", story(operator)
    before = medium.actions
    try:
        incident: Incident = next(told)
        began = time.monotonic()
        medium.look()
        until(lambda: medium.finds(incident), f"{name}: found in the {medium.name}", FIND_SECONDS)
        found_after, find_actions = time.monotonic() - began, medium.actions - before
        if isinstance(medium, Console):
            medium.browser.keep(f"overview-{'-'.join(incident.problem.split())}")
            _photograph(medium.browser, incident)
        began, before = time.monotonic(), medium.actions
        medium.mend(incident)
        until(incident.over, f"{name}: over", REPAIR_SECONDS)
        mended_after, mend_actions = time.monotonic() - began, medium.actions - before
        if isinstance(medium, Console):
            medium.browser.open("/")
        for one in media:  # of both: the next passage must find its own
            until(lambda m=one: not m.finds(incident), f"{name}: gone from the {one.name}", GONE_SECONDS)
    except Exception as error:  # noqa: BLE001 - told in the table; the next incident follows
        failure = f"{type(error).__name__}: {error}".replace("\n", " ")
    finally:
        told.close()
        try:
            _heal(operator)
        except AssertionError as error:
            failure = failure or f"not healed: {error}"
    return Passage(name, medium.name, found_after, find_actions, mended_after, mend_actions, failure)


def _photograph(browser: Browser, incident: Incident) -> None:
    """Keep the pages that the incident has something to show on; not counted, since nobody needs them to mend it."""
    for screen, path in incident.shows.items():
        browser.open(path)
        browser.keep(screen)
    browser.open("/")


def _heal(operator: Operator) -> None:
    """Bring everything back, and wait until every program is ready: the next incident begins on a shop that works."""
    operator.stage.heal()
    for name in parts.programs_of(parts.names()):
        until(lambda one=name: not operator.ready(one), f"{name} ready", REPAIR_SECONDS)


def _history(operator: Operator) -> None:
    """Let so many orders end that a few of the night's, which wait for long, do not make that usual."""
    sku = operator.product(units=WAVES * WAVE)
    for _ in range(WAVES):
        for order_id in [operator.order(sku) for _ in range(WAVE)]:
            operator.at_rest(order_id)


def _go_round(browser: Browser) -> None:
    """Look at every screen as it is: empty at first, and after the night."""
    for screen in SCREENS:
        browser.open(f"/{screen}")
        browser.keep(screen)


def _link(stage: Stage) -> str:
    command = [sys.executable, "-m", "devstack", "login"]
    done = subprocess.run(
        command, cwd=CHECKOUT, env=stage.stack.environment, capture_output=True, text=True, check=True
    )
    return done.stdout.split()[-1]


def _s(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds:.1f} s"

"""The situations, and how one is lived through.

Each is a generator: it does its harm and yields what shows that an operator can know; then it repairs and yields what
shows that it is repaired. What it leaves behind is undone in its `finally`.
"""

import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any

from tests.chaos.stage import Stage
from tests.e2e.night.operator import DETECT_SECONDS, REPAIR_SECONDS, Operator, until
from tests.e2e.night.table import Line

Look = Callable[[], Any]
Story = Callable[[Operator], Generator[Look]]


@dataclass(frozen=True)
class Situation:
    """One thing that goes wrong, the signal that tells of it, and the remedy."""

    name: str
    signal: str
    remedy: str
    story: Story
    needs_links: bool = False


SITUATIONS: list[Situation] = []


def situation(name: str, *, signal: str, remedy: str, needs_links: bool = False) -> Callable[[Story], Story]:
    """Add a situation to the night."""

    def add(story: Story) -> Story:
        SITUATIONS.append(Situation(name, signal, remedy, story, needs_links))
        return story

    return add


def live_through(one: Situation, stage: Stage, say: Callable[[str], None]) -> Line:
    """Let it happen, wait until it is known, repair it, and wait until it is over."""
    say(one.name)
    if one.needs_links and stage.links is None:
        return Line(one.name, one.signal, None, one.remedy, None, "left out: there is no Go to build toxiproxy with")
    detected = repaired = None
    failure = ""
    story = one.story(Operator(stage))
    try:
        shows = next(story)
        began = time.monotonic()
        until(shows, f"{one.name}: known by {one.signal}", DETECT_SECONDS)
        detected = time.monotonic() - began
        began = time.monotonic()
        over = next(story)
        until(over, f"{one.name}: repaired by {one.remedy}", REPAIR_SECONDS)
        repaired = time.monotonic() - began
    except Exception as error:  # noqa: BLE001 - told in the table; the next situation follows
        failure = f"{type(error).__name__}: {error}"
        say(f"  {failure[:2000]}")
    finally:
        story.close()
        stage.heal()
    return Line(one.name, one.signal, detected, one.remedy, repaired, failure)

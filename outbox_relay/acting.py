"""The verbs that change something; each leaves a row in `operator_action`: who, when, why, what."""

from collections.abc import Mapping
from typing import Any, Final

from outbox_relay import screen, service_programs
from outbox_relay.places import Places
from outbox_relay.verb import MISMATCH, Given, Verb, code_of, no_arguments


def _redrive(given: Given, places: Places) -> int:
    found: list[dict[str, Any]] = []
    failures: dict[str, str] = {}
    services = places.chosen(given.service)
    for service in services:
        handled, trouble = service_programs.run(places, service, "redrive")
        found += handled
        if trouble:
            failures[service] = trouble
    (screen.put_json if given.json else screen.put_table)(found)
    left = sum(one["trouble"] is not None for one in found)
    screen.tell(f"{len(found) - left} messages handled, {left} stay parked")
    code = code_of(dict.fromkeys(set(services) - failures.keys()), failures)
    return MISMATCH if left else code


VERBS: Final[Mapping[str, Verb]] = {
    "redrive": Verb(
        _redrive,
        "Handle parked messages again, in sequence; one that fails again stays parked, and those behind it.",
        "outbox redrive --service inventory",
        no_arguments,
    ),
}

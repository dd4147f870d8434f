"""What the comparisons have found, by route, within bounds; kept in a file that the report is made of.

Noise is learned as Diffy does it: for each place it is counted how often the candidate differs from the control, and
how often the second control does. A place where the two do about as often is noise; where the second control differs
from the control in the same request it is, too.
"""

import json
import os
import threading
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal, cast, get_args

from waybill.shadow.comparison import Difference, is_below

Outcome = Literal[
    "equal", "mismatch", "dropped", "too_large", "too_slow", "not_comparable", "not_decoded", "control_failed"
]
OUTCOMES: Final[tuple[Outcome, ...]] = get_args(Outcome)
COMPARED: Final[tuple[Outcome, ...]] = ("equal", "mismatch")
MOST_FIELDS: Final = 200  # of a route; any more are counted together
OTHERS: Final = "(other fields)"
MOST_IN_A_SAMPLE: Final = 20
RELATIVE: Final = 0.2  # Diffy's own: below it the candidate differs no more than the second control does
FORMAT: Final = 1


class Unreadable(Exception):
    """The file of findings cannot be read, or is of something else; the message is one line."""


@dataclass(slots=True)
class Field:
    """How often a place differed."""

    candidate: int = 0
    second_control: int = 0
    kinds: set[str] = field(default_factory=set[str])

    @property
    def is_noise(self) -> bool:
        """Tell whether the candidate differs here about as often as the control does from itself."""
        both = self.candidate + self.second_control
        return self.second_control > 0 and (self.candidate - self.second_control) / both <= RELATIVE


@dataclass(slots=True)
class Route:
    """What was found of one route."""

    samples: deque[dict[str, Any]]
    outcomes: Counter[str] = field(default_factory=Counter[str])
    fields: dict[str, Field] = field(default_factory=dict[str, Field])

    def of(self, name: str) -> Field:
        """Return a place's counts."""
        known = name in self.fields or len(self.fields) < MOST_FIELDS
        return self.fields.setdefault(name if known else OTHERS, Field())

    def as_json(self, name: str) -> dict[str, Any]:
        """Return the route as the report has it."""
        compared = sum(self.outcomes[one] for one in COMPARED)
        mismatched = self.outcomes["mismatch"]
        places = sorted(self.fields.items(), key=lambda one: (-one[1].candidate, one[0]))
        return {
            "route": name,
            "compared": compared,
            "mismatched": mismatched,
            "mismatch_rate": round(mismatched / compared, 6) if compared else None,
            "not_compared": {one: self.outcomes[one] for one in OUTCOMES if one not in COMPARED},
            "fields": [
                {
                    "field": place,
                    "kinds": sorted(one.kinds),
                    "candidate_differs": one.candidate,
                    "second_control_differs": one.second_control,
                    "noise": one.is_noise,
                }
                for place, one in places
            ],
            "samples": list(self.samples),
        }


class Findings:
    """The findings of all routes; used by many threads."""

    def __init__(self, routes: Sequence[str], samples: int) -> None:
        self.since = datetime.now(UTC)
        self._samples = samples
        self._routes = {name: Route(deque(maxlen=samples)) for name in routes}
        self._lock = threading.Lock()
        self._changed = True

    def count(self, route: str, outcome: Outcome) -> None:
        """Count a request that was not compared."""
        with self._lock:
            self._routes[route].outcomes[outcome] += 1
            self._changed = True

    def judge(self, route: str, candidate: Sequence[Difference], second: Sequence[Difference]) -> list[Difference]:
        """Count a comparison and return the differences that are no noise; none where the answers are equal."""
        noise = {one.field for one in second}
        with self._lock:
            known = self._routes[route]
            for one in second:
                known.of(one.field).second_control += 1
            for one in candidate:
                place = known.of(one.field)
                place.candidate += 1
                place.kinds.add(one.kind)
            differing = [
                one for one in candidate if not is_below(one.field, noise) and not known.of(one.field).is_noise
            ]
            known.outcomes["mismatch" if differing else "equal"] += 1
            self._changed = True
        return differing

    def keep(self, route: str, sample: Mapping[str, Any]) -> None:
        """Keep a mismatch, in place of the oldest one where there are as many as may be."""
        with self._lock:
            self._routes[route].samples.append(dict(sample))
            self._changed = True

    def as_json(self) -> dict[str, Any]:
        """Return everything."""
        with self._lock:
            self._changed = False
            routes = [route.as_json(name) for name, route in self._routes.items()]
        return {"format": FORMAT, "since": self.since.isoformat(timespec="seconds"), "routes": routes}

    def restore(self, path: Path) -> None:
        """Go on from what a file has; a route that is named no longer is forgotten. Raises Unreadable."""
        found = read(path)
        try:
            self.since = datetime.fromisoformat(found["since"])
            for one in found["routes"]:
                if one["route"] in self._routes:
                    self._routes[one["route"]] = _route(one, self._samples)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise Unreadable(f"{path} is no file of findings: {error!r}; remove it to begin anew") from None

    def write(self, path: Path, *, always: bool = False) -> None:
        """Replace the file by what is known now, where that has changed. Raises OSError."""
        if not (self._changed or always):
            return
        text = json.dumps(self.as_json(), ensure_ascii=False)
        beside = path.with_name(f".{path.name}.new")
        with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:  # noqa: PTH123 - its mode is set as it is made
            file.write(text)
        beside.replace(path)


def _route(one: Mapping[str, Any], samples: int) -> Route:
    places = {
        str(place["field"]): Field(
            int(place["candidate_differs"]), int(place["second_control_differs"]), set(place["kinds"])
        )
        for place in one["fields"]
    }
    outcomes = Counter({str(name): int(count) for name, count in one["not_compared"].items()})
    outcomes["mismatch"] = int(one["mismatched"])
    outcomes["equal"] = int(one["compared"]) - int(one["mismatched"])
    return Route(deque(one["samples"], maxlen=samples), outcomes, places)


def read(path: Path) -> dict[str, Any]:
    """Return what a file has. Raises Unreadable."""
    try:
        found: object = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise Unreadable(f"{path}: {error.strerror}") from None
    except ValueError as error:
        raise Unreadable(f"{path} is no file of findings: {error}; remove it to begin anew") from None
    if not isinstance(found, dict) or cast("dict[str, Any]", found).get("format") != FORMAT:
        raise Unreadable(f"{path} is no file of findings of this version; remove it to begin anew")
    return cast("dict[str, Any]", found)

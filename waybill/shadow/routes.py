"""Which requests are compared: GET and HEAD of the routes that are named, and of these a share by request id.

A route is a path template, so labels and memory are bounded by what the operator named, never by what clients ask for.
"""

import hashlib
import re
from collections.abc import Sequence

SAFE = frozenset({"GET", "HEAD"})


class Routes:
    """Path templates, the first that fits counts."""

    def __init__(self, templates: Sequence[str]) -> None:
        """Take the templates; raises ValueError where one is none."""
        self.templates = tuple(dict.fromkeys(templates))
        self._patterns = [(one, _pattern(one)) for one in self.templates]

    def of(self, method: str, path: str) -> str | None:
        """Return the template that a request is compared under; None where it never is."""
        if method not in SAFE:
            return None
        return next((template for template, pattern in self._patterns if pattern.fullmatch(path)), None)


def _pattern(template: str) -> re.Pattern[str]:
    if not re.fullmatch(r"(/([^/{}?#\s]+|\{\w*\})?)+", template):
        raise ValueError(f"{template!r} is no path template, as in /v1/rooms/{{id}}")
    return re.compile(re.sub(r"\\\{\w*\\\}", "[^/]+", re.escape(template)))


def is_chosen(request_id: str, share: float) -> bool:
    """Tell whether a request is among that share; the same for the same id in every process."""
    drawn = int.from_bytes(hashlib.sha256(request_id.encode()).digest()[:8])
    return drawn < share * 2**64

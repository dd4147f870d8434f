"""JSON paths: how a place in a document is named, and which places are left out.

Elements of an array are one place (`$.items[*].name`), so that as many of them as there may be have one name; so are
fields whose names are data, as ids and addresses are (`$.*`), and may be a person's. Of JSONPath (RFC 9535) a pattern
may have `$`, `.name`, `['name']`, `.*`, `[*]` and `..name`; anything else is refused.
"""

import re
from collections.abc import Sequence
from enum import Enum
from typing import Final, Literal


class Step(Enum):
    """A step that is not the name of a field."""

    ELEMENT = "[*]"
    ANY_FIELD = ".*"  # of patterns only
    ANY_DEPTH = ".."  # of patterns only; the name follows


Path = tuple[str | Literal[Step.ELEMENT], ...]
Pattern = tuple[str | Step, ...]

_STEP: Final = re.compile(
    r"""(?P<depth>\.\.(?=[\w\[]))|(?P<any>\.\*)|(?P<element>\[\*\])|\.?(?P<name>(?<=\.)[\w-]+)"""
    r"""|\[(?:'(?P<single>[^']*)'|"(?P<double>[^"]*)")\]"""
)
_NAME: Final = re.compile(r"(?!.*\d{4})[A-Za-z_@$][\w-]{0,59}", re.ASCII)  # by a person; not an id, an address, a date


def parse(text: str) -> Pattern:
    """Return a pattern. Raises ValueError, which names what it does not know."""
    steps: list[str | Step] = []
    at = 1
    while text.startswith("$") and at < len(text):
        found = _STEP.match(text, at)
        if found is None:
            break
        named = [value for key in ("name", "single", "double") if (value := found[key]) is not None]
        special = {"depth": Step.ANY_DEPTH, "any": Step.ANY_FIELD, "element": Step.ELEMENT}
        steps += named or [special[str(found.lastgroup)]]
        at = found.end()
    if not steps or at < len(text):
        raise ValueError(
            f"{text!r} is no JSON path that can be ignored, from {text[at:] or text!r} on; as in $.made_at, "
            "$.items[*].etag, $..links, $.meta.*"
        )
    return tuple(steps)


def rendered(path: Path) -> str:
    """Return how a place is called."""
    return "$" + "".join(_rendered(step) for step in path)


def _rendered(step: str | Step) -> str:
    if isinstance(step, Step):
        return step.value
    return f".{step}" if _NAME.fullmatch(step) else ".*"


def covers(pattern: Sequence[str | Step], path: Path) -> bool:
    """Tell whether a place is what the pattern names, or below it."""
    if not pattern:
        return True
    first, *rest = pattern
    if first is Step.ANY_DEPTH:
        return any(covers(rest, path[at:]) for at in range(len(path)))
    if not path:
        return False
    fits = isinstance(path[0], str) if first is Step.ANY_FIELD else first == path[0]
    return fits and covers(rest, path[1:])

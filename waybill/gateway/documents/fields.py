"""Read an object field by field, and refuse what nobody asked for."""

from __future__ import annotations

import re
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from typing import Any, Final, TypeGuard, cast

from waybill.gateway.documents.document import Refused

# As the Gateway API has them: GEP-2257.
DURATION: Final = re.compile(r"(?:\d{1,5}(?:h|ms|m|s)){1,4}")
SECONDS: Final = {"h": Decimal(3600), "m": Decimal(60), "s": Decimal(1), "ms": Decimal("0.001")}
QUANTITY: Final = re.compile(r"(\d+)(k|M|G|Ki|Mi|Gi)?")
FACTORS: Final = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30}


class Fields:
    """One object of a document. What is read is struck off; `refuse_rest` names what is left."""

    def __init__(self, place: str, content: Any, namespace: str = "") -> None:
        """Take an object, the place that messages name, and the namespace of its document."""
        if not isinstance(content, Mapping):
            raise Refused(f"{place}: expected an object, got {content!r}")
        self.place, self.namespace = place, namespace
        self._content: Mapping[str, Any] = content
        self._read: set[str] = set()

    def __contains__(self, name: str) -> bool:
        """Tell whether a field is given."""
        return self._content.get(name) is not None

    def at(self, name: str) -> str:
        """Return a field's place."""
        return f"{self.place}.{name}"

    def take(self, name: str) -> Any:
        """Return what a field says; None where it is not given."""
        self._read.add(name)
        return self._content.get(name)

    def refuse_rest(self) -> None:
        """Raise Refused where a field was given that nobody read."""
        if rest := sorted(self._content.keys() - self._read):
            known = ", ".join(sorted(self._read)) or "no fields"
            raise Refused(f"{self.at(rest[0])} is not supported; supported here: {known}")

    def object(self, name: str) -> Fields:
        """Return the object that a field holds; an empty one where it is not given."""
        return Fields(self.at(name), self.take(name) or {}, self.namespace)

    def objects(self, name: str) -> tuple[Fields, ...]:
        """Return the objects of a list; none where it is not given."""
        every = enumerate(self._list(name))
        return tuple(Fields(f"{self.at(name)}[{number}]", one, self.namespace) for number, one in every)

    def texts(self, name: str) -> tuple[str, ...]:
        """Return the texts of a list."""
        given = self._list(name)
        if wrong := [one for one in given if not isinstance(one, str)]:
            raise Refused(f"{self.at(name)}: expected a list of texts, got {wrong[0]!r} in it")
        return tuple(given)

    def text(self, name: str, default: str | None = None) -> str:
        """Return a text. Raises Refused where there is neither one nor a default."""
        given = self.take(name)
        if given is None and default is not None:
            return default
        if not isinstance(given, str) or not given:
            raise Refused(f"{self.at(name)}: expected a text, got {given!r}")
        return given

    def choice(self, name: str, *options: str, default: str = "") -> str:
        """Return one of these texts, the default where none is given."""
        given = self.take(name)
        if given is None and default:
            return default
        if given not in options:
            raise Refused(f"{self.at(name)}: {given!r} is not supported; choose from {', '.join(options)}")
        return str(given)

    def number(self, name: str, default: int | None = None, *, least: int = 0, most: int = 2**32 - 1) -> int | None:
        """Return a whole number within bounds, the default where none is given."""
        given = self.take(name)
        if given is None:
            return default
        if not isinstance(given, int) or isinstance(given, bool) or not least <= given <= most:
            raise Refused(f"{self.at(name)}: expected a number from {least} to {most}, got {given!r}")
        return given

    def flag(self, name: str, *, default: bool = False) -> bool:
        """Return true or false."""
        given = self.take(name)
        if given is None:
            return default
        if not isinstance(given, bool):
            raise Refused(f"{self.at(name)}: expected true or false, got {given!r}")
        return given

    def duration(self, name: str) -> str | None:
        """Return a time as Envoy takes it, such as `2.5s`."""
        given = self.take(name)
        if given is None:
            return None
        if not isinstance(given, str) or not DURATION.fullmatch(given):
            raise Refused(f"{self.at(name)}: expected a duration such as 500ms or 1m30s, got {given!r}")
        parts = re.findall(r"(\d+)(h|ms|m|s)", given)
        total = sum(int(number) * SECONDS[unit] for number, unit in parts)
        return f"{total:f}s"

    def bytes(self, name: str) -> int | None:
        """Return a size in bytes."""
        given = self.take(name)
        if given is None:
            return None
        if not (found := QUANTITY.fullmatch(str(given))):
            raise Refused(f"{self.at(name)}: expected a size such as 64Ki, got {given!r}")
        return int(found[1]) * FACTORS[found[2] or ""]

    def _list(self, name: str) -> Sequence[Any]:
        given = self.take(name)
        if given is None:
            return ()
        if not isinstance(given, Sequence) or isinstance(given, str):
            raise Refused(f"{self.at(name)}: expected a list, got {given!r}")
        return cast("Sequence[Any]", given)


@contextmanager
def all_of(fields: Fields) -> Generator[Fields]:
    """Refuse, at the end of the block, what it did not read of the object."""
    yield fields
    fields.refuse_rest()


def is_object(value: object) -> TypeGuard[Mapping[str, Any]]:
    """Tell whether a value is an object of a document."""
    return isinstance(value, Mapping)


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Return one object with what another says in its place: JSON Merge Patch, RFC 7396.

    Without its null, which takes a field away: an API server keeps none.
    """
    result = dict(below)
    for name, value in above.items():
        if is_object(value):
            before = result.get(name)
            result[name] = merged(before if is_object(before) else {}, value)
        elif value is not None:
            result[name] = value
    return result

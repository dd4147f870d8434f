"""One line of the checklist."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """What was looked at, what was found, and what to do where that is not enough."""

    name: str
    ok: bool | None
    """None: it cannot be seen from here."""
    found: str
    do: str = ""
    required: bool = True
    """Whether nothing should move without it; the others are advice."""

    @property
    def stands_in_the_way(self) -> bool:
        """Tell whether it must be settled first."""
        return self.required and self.ok is False


def item(name: str, found: str, do: str = "", *, ok: bool | None, required: bool = True) -> Item:
    """Make a line; what to do is left out where all is well."""
    return Item(name=name, ok=ok, found=found, do="" if ok else do, required=required)

"""A table of the mapping file, of which every entry must be taken."""

from typing import Any, Final, cast

NOTHING: Final = object()
"""Apart from None, which TOML cannot say anyway."""


class MappingError(ValueError):
    """The mapping file cannot be used; the message names the place and the remedy."""


class TomlTable:
    """A table of the file, of which every entry must be taken."""

    def __init__(self, given: object, where: str) -> None:
        """Take what TOML gives. Raises MappingError where that is no table."""
        if not isinstance(given, dict):
            raise MappingError(f"{where} is {given!r}; write a table")
        self.left, self.where = dict(cast("dict[str, Any]", given)), where

    def take(self, name: str, kind: type, default: object = NOTHING) -> Any:
        """Return an entry of exactly this type, or the default. Raises MappingError."""
        if name not in self.left and default is not NOTHING:
            return default
        value = self.left.pop(name, None)
        if type(value) is not kind:
            raise MappingError(f"{self.where}: {name} = {value!r}; it is needed, as {kind.__name__}")
        return value

    def text(self, name: str) -> str:
        """Return an entry that must be there. Raises MappingError."""
        return self.take(name, str)

    def table(self, name: str) -> "TomlTable | None":
        """Return a table within this one; None where there is none. Raises MappingError."""
        return TomlTable(self.left.pop(name), f"{self.where}.{name}") if name in self.left else None

    def tables(self, name: str) -> "dict[str, TomlTable]":
        """Return the tables within one of this table, by name. Raises MappingError."""
        given = self.take(name, dict, {})
        return {key: TomlTable(one, f"{self.where} [{name}.{key}]") for key, one in given.items()}

    def names(self, name: str) -> frozenset[str]:
        """Return a list of names. Raises MappingError."""
        given = self.take(name, list, [])
        if not all(isinstance(one, str) for one in given):
            raise MappingError(f"{self.where}: {name} = {given!r}; write names of columns")
        return frozenset(given)

    def end(self) -> None:
        """Raise MappingError where something was not taken."""
        if self.left:
            raise MappingError(f"{self.where}: nothing understands {', '.join(map(repr, self.left))}")

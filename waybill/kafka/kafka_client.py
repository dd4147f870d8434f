"""How every client of the broker connects: where to, and with which of librdkafka's properties."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from waybill.secret_settings import MASK

# A broker that was frozen answers before its controller lets it in again, and then names no broker at all: a client
# that heard that knows nobody any more, and would start from the servers given here after five minutes only.
RECOVERY: Final = {"metadata.recovery.rebootstrap.trigger.ms": "1000"}


class Connection(Mapping[str, str]):
    """A client's options: the servers, and what the file says, `name=value` a line, `#` before a remark.

    For what differs from place to place: `security.protocol`, `sasl.*`, `ssl.*`. Whoever copies the options
    (`{**connection}`) has them as the file is then; one that cannot be read any more changes nothing. Raises
    ValueError where it cannot be read at first, which names the file and the line.
    """

    def __init__(self, bootstrap: str, properties_file: str | None = None) -> None:
        """Read the file."""
        self._bootstrap, self._file = bootstrap, properties_file
        self._options = self._read()

    def __iter__(self) -> Iterator[str]:
        """Begin to read the options: the file is read again."""
        if self._file:
            with suppress(ValueError):  # it may be in the middle of being replaced
                self._options = self._read()
        return iter(self._options)

    def __getitem__(self, name: str) -> str:
        """Return an option as it was last read."""
        return self._options[name]

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._options)

    def __repr__(self) -> str:
        """Show no password."""
        return f"Connection({self._bootstrap!r}, {MASK if self._file else None!r})"

    def _read(self) -> dict[str, str]:
        options = {"bootstrap.servers": self._bootstrap} | RECOVERY
        return options | _properties(self._file) if self._file else options


def connection(bootstrap: str, properties_file: str | None = None) -> Connection:
    """Return a client's options. Raises ValueError."""
    return Connection(bootstrap, properties_file)


def _properties(file: str) -> dict[str, str]:
    try:
        lines = Path(file).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"cannot read {file}: {error}") from None
    found: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        name, equals, value = (part.strip() for part in line.partition("="))
        if not name or name.startswith("#"):
            continue
        if not equals:
            raise ValueError(f"{file}, line {number}: {line.strip()!r} is not name=value")
        found[name] = value
    return found

"""How every client of the broker connects: where to, and with which of librdkafka's properties."""

from pathlib import Path
from typing import Final

# A broker that was frozen answers before its controller lets it in again, and then names no broker at all: a client
# that heard that knows nobody any more, and would start from the servers given here after five minutes only.
RECOVERY: Final = {"metadata.recovery.rebootstrap.trigger.ms": "1000"}


def connection(bootstrap: str, properties_file: str | None = None) -> dict[str, str]:
    """Return a client's options: the servers, and what the file says, `name=value` a line, `#` before a remark.

    For what differs from place to place: `security.protocol`, `sasl.*`, `ssl.*`. Raises ValueError, which names the
    file and the line.
    """
    options = {"bootstrap.servers": bootstrap} | RECOVERY
    if not properties_file:
        return options
    try:
        lines = Path(properties_file).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"cannot read {properties_file}: {error}") from None
    for number, line in enumerate(lines, 1):
        name, equals, value = (part.strip() for part in line.partition("="))
        if not name or name.startswith("#"):
            continue
        if not equals:
            raise ValueError(f"{properties_file}, line {number}: {line.strip()!r} is not name=value")
        options[name] = value
    return options

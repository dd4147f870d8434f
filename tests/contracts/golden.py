"""What each event version looked like on the wire when it was made, kept for as long as a topic or outbox may hold it.

`python -m tests.contracts.golden` writes the file of each version that has none, in the commit that adds the version.
A kept file is never written again. To change a version that nobody has deployed, delete its file first.
"""

import hashlib
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from schemas import codec
from schemas.contracts import Contract, load
from schemas.event import Event
from schemas.events import EVENTS
from tests.unit.schemas.samples import sample

FOLDER = Path(__file__).parent / "golden"


@dataclass(frozen=True, kw_only=True, slots=True)
class Golden:
    """One event, as it was written."""

    schema: str
    """SHA-256 of the schema as it is registered: another text would be another id in the registry."""
    fields: Mapping[str, Any]
    payload: bytes

    @classmethod
    def read(cls, contract: Contract) -> "Golden":
        """Read the kept file of an event version."""
        kept = json.loads(path(contract).read_text(encoding="utf-8"))
        return cls(schema=kept["schema"], fields=kept["fields"], payload=bytes.fromhex(kept["payload"]))


def path(contract: Contract) -> Path:
    """Give the place of the kept file."""
    return FOLDER / f"{contract.event_type}.v{contract.version}.json"


def digest(contract: Contract) -> str:
    """Give the SHA-256 of a schema, whatever its line breaks."""
    return hashlib.sha256(json.dumps(contract.schema, separators=(",", ":")).encode()).hexdigest()


def plain(event: Event) -> dict[str, Any]:
    """Give the fields of an event as JSON has them."""
    return json.loads(json.dumps(event.to_avro(), default=str))


def write_missing() -> Iterator[Path]:
    """Write the file of each current version that has none."""
    for contract in load():
        if path(contract).exists() or EVENTS[contract.event_type].schema_version != contract.version:
            continue
        event = sample(contract.event_type)
        kept = {"schema": digest(contract), "fields": plain(event), "payload": codec.encode(event).hex()}
        path(contract).write_text(json.dumps(kept, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        yield path(contract)


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    sys.stdout.writelines(f"{written.name}: written\n" for written in write_missing())

"""What runs: in state.json, for each service that was released, its code, the code before, and whether both run."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from devstack.folder import read_json, state_locked, write_json

if TYPE_CHECKING:
    from devstack.folder import Folder


@dataclass(frozen=True, kw_only=True)
class Record:
    """A service's release."""

    source: str
    before: str | None = None  # None: there is no way back
    under_way: bool = False
    contracted: bool = False

    @property
    def folder(self) -> Path:
        """Return the folder of its code."""
        return Path(self.source)


def read(folder: Folder, service: str) -> Record | None:
    """Return the service's record; None while it runs the checkout's code, as `make up` started it."""
    found = read_json(folder.state_file).get("releases", {}).get(service)
    return Record(**found) if found else None


def write(folder: Folder, service: str, record: Record) -> None:
    """Keep the record, beside what the state's keeper writes."""
    with state_locked(folder):
        state = read_json(folder.state_file)
        state["releases"] = {**state.get("releases", {}), service: asdict(record)}
        write_json(folder.state_file, state)

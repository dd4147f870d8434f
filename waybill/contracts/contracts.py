"""The `.avsc` files as data: which event versions exist, in which topic, and whether each file keeps the rules.

A folder is a topic and a file one version of one event: `bookings.events.v1/BookingMade.v1.avsc`. A folder whose name
ends in `.private` holds events without a topic. Each record carries two attributes of ours: `aggregate`, and `key`,
the field that holds the aggregate's id.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, cast

from waybill.application import application
from waybill.contracts.fields import ContractError
from waybill.contracts.topics import is_private

_FILE_NAME = re.compile(r"(?P<name>[A-Z][A-Za-z0-9]*)\.v(?P<version>[1-9][0-9]*)\.avsc")


@dataclass(frozen=True, kw_only=True, slots=True)
class Contract:
    """One version of one event."""

    event_type: str
    version: int
    topic: str | None
    source: str
    """Path of the file, from the folder of the schemas."""
    schema: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Give the event's name without its namespace."""
        return self.event_type.rpartition(".")[2]

    @property
    def subject(self) -> str:
        """Give the registry's subject (strategy topic-record); of no use for a private event."""
        return f"{self.topic}-{self.event_type}"


def load(root: Path | None = None) -> list[Contract]:
    """Read every contract below a folder, else the application's; by source, the versions of an event oldest first.

    Raises:
        ContractError: A file is no schema of an event, or the versions of an event do not fit together.

    """
    root = root or application().schemas
    contracts = [_read(root, path) for path in root.glob("*/*.avsc")]
    contracts.sort(key=lambda contract: (contract.source.partition("/")[0], contract.event_type, contract.version))
    for event_type, versions in by_event(contracts).items():
        _check_versions(event_type, versions)
    return contracts


def by_event(contracts: Iterable[Contract]) -> dict[str, list[Contract]]:
    """Group contracts, as `load` orders them, by event type; the last of each list is the current version."""
    grouped: dict[str, list[Contract]] = {}
    for contract in contracts:
        grouped.setdefault(contract.event_type, []).append(contract)
    return grouped


def _read(root: Path, path: Path) -> Contract:
    source = path.relative_to(root).as_posix()
    named = _FILE_NAME.fullmatch(path.name)
    if named is None:
        raise ContractError(f"{source}: name it after its event and version, such as BookingMade.v1.avsc")
    try:
        schema = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ContractError(f"{source}: not JSON: {error}") from None
    if not isinstance(schema, dict) or cast("dict[str, Any]", schema).get("type") != "record":
        raise ContractError(f'{source}: an event is a record; write {{"type": "record", ...}}')
    schema = cast("dict[str, Any]", schema)
    for attribute in ("name", "namespace", "doc", "aggregate", "key", "fields"):
        if not schema.get(attribute):
            raise ContractError(f"{source}: the record has no {attribute!r}; every event states it")
    if schema["name"] != named["name"]:
        raise ContractError(f"{source}: the record is called {schema['name']}; file and record share one name")
    if schema["key"] not in [field["name"] for field in schema["fields"]]:
        raise ContractError(f"{source}: the key {schema['key']!r} is none of its fields")
    folder = path.parent.name
    return Contract(
        event_type=f"{schema['namespace']}.{schema['name']}",
        version=int(named["version"]),
        topic=None if is_private(folder) else folder,
        source=source,
        schema=schema,
    )


def _check_versions(event_type: str, versions: list[Contract]) -> None:
    numbers = [contract.version for contract in versions]
    if numbers != list(range(1, len(numbers) + 1)):
        raise ContractError(f"{event_type}: versions {numbers}; they count 1, 2, 3 without a hole, in one folder")
    for attribute in ("topic", "aggregate", "key"):
        values = [c.topic if attribute == "topic" else c.schema[attribute] for c in versions]
        if len(list(groupby(values))) > 1:
            raise ContractError(f"{event_type}: {attribute} is {values} over its versions; it never changes")

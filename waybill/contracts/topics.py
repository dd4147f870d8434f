"""The topics as data. No Kafka client is imported here: taking a request needs the sizes and must not need a broker.

Each folder of the schemas is a topic. What a topic is for decides its partitions, retention and sizes: `topics.toml` in
the folder of the schemas has what differs from the defaults below. How many copies of a record there are depends on the
cluster, so that is a setting of the deployment (`Copies`).

    ["bookings.events.v1"]
    partitions = 12
    retention_days = -1          # kept for ever

    ["rooms.events.v1"]
    written_by = "rooms"         # another team's; their .avsc files are copied here
"""

import tomllib
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any, Final, cast

from waybill.application import application
from waybill.contracts.fields import ContractError

FILE: Final = "topics.toml"
FOR_EVER: Final = -1
_DAY_MS: Final = 24 * 60 * 60 * 1000


@dataclass(frozen=True, kw_only=True, slots=True)
class Topic:
    """A topic as it is meant: created so where it is missing; what exists is compared with it and never altered."""

    name: str
    partitions: int = 6
    """How many consumers of one service can share it. `outbox grow` adds some and keeps the sequence of each key."""
    retention_days: int = 14
    """A subscriber may be away for a fortnight; older history comes from the outbox. FOR_EVER keeps all."""
    max_message_bytes: int = 1024 * 1024
    """The relay keeps what is larger as a dead letter, unsent."""
    written_by: str = ""
    """Another team's project that writes it, by the name in `ce_source`; its contracts are copied here.

    Where it is missing it is made all the same, so that a reader can start before that project does.
    """

    @property
    def retention_ms(self) -> int:
        """Return the retention in milliseconds, or FOR_EVER."""
        return FOR_EVER if self.retention_days == FOR_EVER else self.retention_days * _DAY_MS

    @property
    def retention(self) -> str:
        """Tell how long records are kept."""
        return "kept for ever" if self.retention_days == FOR_EVER else f"kept {self.retention_days} days"

    def config(self) -> dict[str, str]:
        """Give the broker's settings of the topic."""
        return {
            # Never compact: an event is a change, and the last one of a key does not tell the others.
            "cleanup.policy": "delete",
            "retention.ms": str(self.retention_ms),
            # A cluster's own bound in bytes would end what is kept for its time, or for ever.
            "retention.bytes": "-1",
            "max.message.bytes": str(self.max_message_bytes),
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Copies:
    """How many copies of a record a deployment wants; None leaves it to the broker, where a single node has one."""

    replication: int | None = None
    """Brokers that keep a partition."""
    min_insync: int | None = None
    """Of these, how many must have a record before it is acknowledged; with fewer in sync, nothing is published."""

    def config(self) -> dict[str, str]:
        """Give the broker's settings of every topic."""
        return {} if self.min_insync is None else {"min.insync.replicas": str(self.min_insync)}


@cache
def topics() -> tuple[Topic, ...]:
    """Return the application's topics, as `load` orders them. Raises ContractError and ApplicationUnknown."""
    return load(application().schemas)


def load(schemas: Path) -> tuple[Topic, ...]:
    """Read the topics below a folder of schemas: those of `topics.toml` in its sequence, then the others by name.

    Raises:
        ContractError: `topics.toml` cannot be read, names a topic without a folder, or what no topic has.

    """
    path = schemas / FILE
    try:
        configured = tomllib.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ContractError(f"{FILE}: {error}") from None
    there = sorted({found.parent.name for found in schemas.glob("*/*.avsc") if not is_private(found.parent.name)})
    for name in configured:
        if name not in there:
            raise ContractError(
                f"{FILE}: [{name!r}]: there is no folder {name}/ with an .avsc file; a folder is a topic"
            )
    return tuple(
        _topic(name, configured.get(name, {}))
        for name in (*configured, *(name for name in there if name not in configured))
    )


def is_private(folder: str) -> bool:
    """Tell whether the events of a folder stay in the outbox, and are never published."""
    return folder.endswith(".private")


def _topic(name: str, given: object) -> Topic:
    known = [field.name for field in fields(Topic) if field.name != "name"]
    if not isinstance(given, dict):
        raise ContractError(f"{FILE}: {name!r} is {given!r}; write a table: [{name!r}]")
    settings = cast("dict[str, Any]", given)
    for setting, value in settings.items():
        if setting not in known:
            raise ContractError(f"{FILE}: [{name!r}] {setting}: a topic has {', '.join(known)}")
        if setting == "written_by":
            if not isinstance(value, str) or not value.strip():
                raise ContractError(f"{FILE}: [{name!r}] written_by = {value!r}: it is the name of another project")
            continue
        least = FOR_EVER if setting == "retention_days" else 1
        if type(value) is not int or value < least or value == 0:
            raise ContractError(f"{FILE}: [{name!r}] {setting} = {value!r}: it is a whole number from 1 on")
    return Topic(name=name, **settings)

"""What a query asks of a service, in words of no protocol: an adapter says it in its own."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from waybill.rest.filters import EVERYTHING, Filter

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Sort:
    """One column that rows are put in order by; null comes last, and first where it falls."""

    field: str
    falling: bool = False


@dataclass(frozen=True, slots=True)
class Resource:
    """A collection: its name, and which of its fields is the key."""

    name: str
    key: str


@dataclass(frozen=True, slots=True)
class Read:
    """Rows that match, in order; `limit` None: all of them."""

    resource: Resource
    fields: tuple[str, ...]
    where: Filter = EVERYTHING
    sort: tuple[Sort, ...] = ()
    offset: int = 0
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class Count:
    """How many rows match."""

    resource: Resource
    where: Filter = EVERYTHING


@dataclass(frozen=True, slots=True)
class Insert:
    """New rows, all of them or none."""

    resource: Resource
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Update:
    """Other values of one row; `version`: the one that was read, where one was."""

    resource: Resource
    key: Any
    values: Row
    version: str | None = None


@dataclass(frozen=True, slots=True)
class Delete:
    """Rows to be deleted, by their keys; `version`: of the only one, where it was read."""

    resource: Resource
    keys: tuple[Any, ...]
    version: str | None = None

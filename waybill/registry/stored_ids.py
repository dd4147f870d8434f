"""The schema ids that the services' databases keep: what each means, for ever.

A record carries its schema's id and not the registry that gave it. So an id means one schema, whatever becomes of the
registry: `waybill_schema_id` in each database has one row an id, with the schema's text, and rows are never removed.
Where an event version has several ids, since it was moved to a registry that gave it another one, records are written
with the one that is `current`, and with every other they can still be read.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import psycopg
from psycopg.conninfo import conninfo_to_dict

from waybill.contracts.contracts import Contract
from waybill.database.postgres_client import connect
from waybill.registry.reach import NotYet, until_reached
from waybill.registry.registry import RegistrationRefused

_READ: Final = "SELECT schema_id, event_type, schema_version, schema, current FROM waybill_schema_id ORDER BY schema_id"

_RETIRE: Final = """
    UPDATE waybill_schema_id SET current = false
    FROM unnest(%(types)s::text[], %(versions)s::int[], %(ids)s::int[]) AS new (event_type, schema_version, schema_id)
    WHERE (waybill_schema_id.event_type, waybill_schema_id.schema_version) = (new.event_type, new.schema_version)
      AND waybill_schema_id.schema_id <> new.schema_id AND current
"""

# Unchanged rows are not written again. That an id keeps its meaning was proved before anything is written.
_UPSERT: Final = """
    INSERT INTO waybill_schema_id (event_type, schema_version, schema_id, schema)
    SELECT * FROM unnest(%(types)s::text[], %(versions)s::int[], %(ids)s::int[], %(schemas)s::text[])
    ON CONFLICT (schema_id) DO UPDATE SET schema = EXCLUDED.schema, current = true
    WHERE waybill_schema_id.schema IS DISTINCT FROM EXCLUDED.schema OR NOT waybill_schema_id.current
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredId:
    """One id as one database keeps it."""

    schema_id: int
    event_type: str
    version: int
    text: str | None
    """None: kept by a release that did not keep texts."""
    current: bool
    database: str

    @property
    def meaning(self) -> str:
        """Say what the id stands for."""
        return f"{self.event_type} v{self.version}"


def read(urls: Sequence[str], deadline_seconds: float) -> list[StoredId]:
    """Read what the databases keep; blocks while they start, up to the deadline for each.

    Raises:
        RegistrationRefused: A database cannot be read, or two of them keep one id with different meanings.
        Unreachable: A database did not answer before the deadline.

    """
    kept = [one for url in urls for one in until_reached("PostgreSQL", lambda url=url: _read(url), deadline_seconds)]
    first: dict[int, StoredId] = {}
    for one in kept:
        other = first.setdefault(one.schema_id, one)
        if other.meaning != one.meaning:
            raise RegistrationRefused(
                f"schema id {one.schema_id} is {other.meaning} in database {other.database} and {one.meaning} in "
                f"database {one.database}: one of them was filled from another registry; bring its table "
                "waybill_schema_id back from a backup"
            )
    return kept


def write(url: str, contracts: Sequence[Contract], ids: Sequence[int], deadline_seconds: float) -> str:
    """Keep the ids as those to write with, in one transaction; gives a line on it, raises as `read` does."""
    row = {
        "types": [contract.event_type for contract in contracts],
        "versions": [contract.version for contract in contracts],
        "ids": list(ids),
        "schemas": [text(contract) for contract in contracts],
    }

    def once() -> str:
        with _connected(url) as connection:
            connection.execute(_RETIRE, row)
            changed = connection.execute(_UPSERT, row).rowcount
            return f"database {connection.info.dbname}: {changed} of {len(ids)} ids are new or changed"

    return until_reached("PostgreSQL", lambda: _asked(url, once), deadline_seconds)


def text(contract: Contract) -> str:
    """Give the schema as it is registered."""
    return json.dumps(contract.schema, ensure_ascii=False, separators=(",", ":"))


def same(registered: str, kept: str) -> bool:
    """Tell whether two texts are one schema."""
    return json.loads(registered) == json.loads(kept)


def meaning(registered: str, contracts: Iterable[Contract]) -> str:
    """Say what a text in the registry stands for."""
    schema: Any = json.loads(registered)
    for contract in contracts:
        if contract.schema == schema:
            return f"{contract.event_type} v{contract.version}"
    return f"a schema of somebody else ({' '.join(registered.split())[:80]})"


def _read(url: str) -> list[StoredId]:
    def once() -> list[StoredId]:
        with _connected(url) as connection:
            return [
                StoredId(
                    schema_id=schema_id,
                    event_type=event_type,
                    version=version,
                    text=schema,
                    current=current,
                    database=connection.info.dbname,
                )
                for schema_id, event_type, version, schema, current in connection.execute(_READ)
            ]

    return _asked(url, once)


def _connected(url: str) -> psycopg.Connection[Any]:
    connection = connect(url, "schemas")
    connection.autocommit = False
    return connection


def _asked(url: str, once: Any) -> Any:
    try:
        return once()
    except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn):
        reason = f"database {_name(url)}: no table waybill_schema_id, or an older one; migrate it"
        raise RegistrationRefused(reason) from None
    except psycopg.OperationalError as error:
        raise NotYet(f"database {_name(url)}: {' '.join(str(error).split())}") from None
    except psycopg.Error as error:
        raise RegistrationRefused(f"database {_name(url)}: {' '.join(str(error).split())}") from None


def _name(url: str) -> str:
    """Give the database's name: the URL itself holds a password."""
    try:
        return str(conninfo_to_dict(url).get("dbname", "without a name"))
    except psycopg.Error:
        return "of an unreadable URL"

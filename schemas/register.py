"""The deployment step that makes the schemas known: to the registry, and its ids to each service's database.

Relays and consumers read the ids from their own database, so a registry that is down later stops nothing. Only public
events are registered; what is private never leaves its database and needs no id.
"""

import json
from collections.abc import Sequence
from typing import Final
from urllib.parse import quote

import psycopg
from psycopg.conninfo import conninfo_to_dict

from schemas.contracts import Contract
from schemas.reach import NotYet, until_reached
from schemas.registry import Access, RegistrationRefused, Registry

COMPATIBILITY: Final = "FULL_TRANSITIVE"
_CONNECT_SECONDS: Final = 3

# One statement a database, so either all ids are new or none; unchanged rows are not written again.
_UPSERT: Final = """
    INSERT INTO schema_id (event_type, schema_version, schema_id, schema)
    SELECT * FROM unnest(%(types)s::text[], %(versions)s::int[], %(ids)s::int[], %(schemas)s::text[])
    ON CONFLICT (event_type, schema_version) DO UPDATE SET schema_id = EXCLUDED.schema_id, schema = EXCLUDED.schema
    WHERE (schema_id.schema_id, schema_id.schema) IS DISTINCT FROM (EXCLUDED.schema_id, EXCLUDED.schema)
"""


# Records that were written with the former text have its id, and a database keeps one id a version.
_CHANGED: Final = """
    SELECT string_agg(event_type || ' v' || schema_version, ', ' ORDER BY event_type, schema_version)
    FROM schema_id
    JOIN unnest(%(types)s::text[], %(versions)s::int[], %(schemas)s::text[]) AS new (event_type, schema_version, schema)
    USING (event_type, schema_version)
    WHERE schema_id.schema <> new.schema
"""


def register(
    contracts: Sequence[Contract],
    registry_url: str,
    owner_database_urls: Sequence[str],
    deadline_seconds: float,
    access: Access | None = None,
) -> list[str]:
    """Register the public ones of the contracts, keep their ids in each database, and give a line on each step.

    Without `access` it is read from the environment.

    Safe to repeat; blocks while registry and databases start, up to the deadline for each.

    Raises:
        RegistrationRefused: A schema breaks the registry's rule, the registry does not take us or we do not take it,
            or a database has no table for the ids.
        Unreachable: Registry or database did not answer before the deadline.

    """
    contracts = [contract for contract in contracts if contract.topic is not None]
    access = access or Access.given()
    with access.client(registry_url) as client:
        registry = Registry(client, registry_url, access)
        lines, ids = until_reached(registry.name, lambda: _register_all(registry, contracts), deadline_seconds)
    for url in owner_database_urls:
        lines.append(until_reached("PostgreSQL", lambda url=url: _keep(url, contracts, ids), deadline_seconds))
    return lines


def _register_all(registry: Registry, contracts: Sequence[Contract]) -> tuple[list[str], list[int]]:
    lines = [_demand_compatibility(registry, contracts)]
    ids = [_register(registry, contract) for contract in contracts]
    lines.append(f"registry: {len(ids)} schemas, ids {min(ids)} to {max(ids)}")
    return lines, ids


def _demand_compatibility(registry: Registry, contracts: Sequence[Contract]) -> str:
    """See that the registry refuses what breaks subscribers, without touching the subjects of others.

    The global default is set only while no one else uses the registry: one call in place of one a subject.
    """
    if registry.call("GET", "/config").get("compatibilityLevel") == COMPATIBILITY:
        return f"registry: {COMPATIBILITY} is its default already"
    ours = {contract.subject for contract in contracts}
    known = set(registry.call("GET", "/subjects"))
    level = {"compatibility": COMPATIBILITY}
    if known <= ours:
        registry.call("PUT", "/config", level)
        return f"registry: {COMPATIBILITY} is its default now"
    for contract in contracts:
        if contract.version == 1:
            _register(registry, contract)  # Apicurio keeps a level only for a subject that exists
            registry.call("PUT", f"/config/{quote(contract.subject, safe='')}", level)
    return f"registry: shared with others, so {COMPATIBILITY} is set on each of our subjects"


def _register(registry: Registry, contract: Contract) -> int:
    body = {"schema": _text(contract)}
    return int(registry.call("POST", f"/subjects/{quote(contract.subject, safe='')}/versions", body)["id"])


def _keep(url: str, contracts: Sequence[Contract], ids: Sequence[int]) -> str:
    try:
        with psycopg.connect(url, connect_timeout=_CONNECT_SECONDS) as connection:
            row = {
                "types": [contract.event_type for contract in contracts],
                "versions": [contract.version for contract in contracts],
                "ids": list(ids),
                "schemas": [_text(contract) for contract in contracts],
            }
            (edited,) = connection.execute(_CHANGED, row).fetchone() or (None,)
            if edited:
                raise RegistrationRefused(
                    f"database {connection.info.dbname}: registered with another text: {edited}; bring the file back "
                    "and change the next version (docs/contracts.md), or where all is thrown away: `make reset`"
                )
            changed = connection.execute(_UPSERT, row).rowcount
            return f"database {connection.info.dbname}: {changed} of {len(ids)} ids are new or changed"
    except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn):
        raise RegistrationRefused(f"database {_name(url)}: no table schema_id, or an older one; migrate it") from None
    except psycopg.OperationalError as error:
        raise NotYet(f"database {_name(url)}: {' '.join(str(error).split())}") from None
    except psycopg.Error as error:
        raise RegistrationRefused(f"database {_name(url)}: {' '.join(str(error).split())}") from None


def _text(contract: Contract) -> str:
    return json.dumps(contract.schema, ensure_ascii=False, separators=(",", ":"))


def _name(url: str) -> str:
    """Give the database's name: the URL itself holds a password."""
    try:
        return str(conninfo_to_dict(url).get("dbname", "without a name"))
    except psycopg.Error:
        return "of an unreadable URL"

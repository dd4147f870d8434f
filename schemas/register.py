"""The deployment step that makes the schemas known: to the registry, and its ids to each service's database.

Relays and consumers read the ids from their own database, so a registry that is down later stops nothing. Only public
events are registered; what is private never leaves its database and needs no id.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

import httpx2
import psycopg
from psycopg.conninfo import conninfo_to_dict

from schemas.contracts import Contract
from schemas.reach import NotYet, until_reached

COMPATIBILITY: Final = "FULL_TRANSITIVE"
_CALL_SECONDS: Final = 20.0
_CONNECT_SECONDS: Final = 3
_SHOWN_CHARACTERS: Final = 200
_CONTENT_TYPE: Final = {"Content-Type": "application/vnd.schemaregistry.v1+json"}

# One statement a database, so either all ids are new or none; unchanged rows are not written again.
_UPSERT: Final = """
    INSERT INTO schema_id (event_type, schema_version, schema_id, schema)
    SELECT * FROM unnest(%(types)s::text[], %(versions)s::int[], %(ids)s::int[], %(schemas)s::text[])
    ON CONFLICT (event_type, schema_version) DO UPDATE SET schema_id = EXCLUDED.schema_id, schema = EXCLUDED.schema
    WHERE (schema_id.schema_id, schema_id.schema) IS DISTINCT FROM (EXCLUDED.schema_id, EXCLUDED.schema)
"""


class RegistrationRefused(Exception):
    """The registry refuses a schema, or a database cannot take the ids; repeating does not help."""


def register(
    contracts: Sequence[Contract],
    registry_url: str,
    owner_database_urls: Sequence[str],
    deadline_seconds: float,
) -> list[str]:
    """Register the public ones of the contracts, keep their ids in each database, and give a line on each step.

    Safe to repeat; blocks while registry and databases start, up to the deadline for each.

    Raises:
        RegistrationRefused: A schema breaks the registry's rule, or a database has no table for the ids.
        Unreachable: Registry or database did not answer before the deadline.

    """
    contracts = [contract for contract in contracts if contract.topic is not None]
    with httpx2.Client(timeout=_CALL_SECONDS, headers=_CONTENT_TYPE) as client:
        registry = _Registry(client, registry_url.rstrip("/"))
        lines, ids = until_reached(registry.name, lambda: _register_all(registry, contracts), deadline_seconds)
    for url in owner_database_urls:
        lines.append(until_reached("PostgreSQL", lambda url=url: _keep(url, contracts, ids), deadline_seconds))
    return lines


class _Registry:
    """The Confluent API of a registry, over one kept-alive connection."""

    def __init__(self, client: httpx2.Client, url: str) -> None:
        self._client = client
        self._url = url
        self.name = f"the registry at {httpx2.URL(url).copy_with(userinfo=b'')}"

    def call(self, method: str, path: str, body: Mapping[str, object] | None = None) -> Any:
        """Give the JSON of an answer; raises NotYet or RegistrationRefused."""
        try:
            answer = self._client.request(method, self._url + path, json=body)
        except httpx2.TransportError as error:
            raise NotYet(str(error) or type(error).__name__) from None
        except (httpx2.InvalidURL, httpx2.RequestError) as error:
            raise RegistrationRefused(f"{self.name}: {error}") from None
        if answer.is_server_error:
            raise NotYet(f"{method} {path} answered {answer.status_code}")
        if answer.is_error:
            reason = " ".join(answer.text.split())[:_SHOWN_CHARACTERS]
            raise RegistrationRefused(f"{self.name} answered {answer.status_code} to {method} {path}: {reason}")
        try:
            return answer.json()
        except ValueError:
            raise RegistrationRefused(
                f"{self.name} gave no JSON to {method} {path}; is it the Confluent API?"
            ) from None


def _register_all(registry: _Registry, contracts: Sequence[Contract]) -> tuple[list[str], list[int]]:
    lines = [_demand_compatibility(registry, contracts)]
    ids = [_register(registry, contract) for contract in contracts]
    lines.append(f"registry: {len(ids)} schemas, ids {min(ids)} to {max(ids)}")
    return lines, ids


def _demand_compatibility(registry: _Registry, contracts: Sequence[Contract]) -> str:
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


def _register(registry: _Registry, contract: Contract) -> int:
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

"""The deployment step that makes the schemas known: to the registry, and its ids to each service's database.

Relays and consumers read the ids from their own database, so a registry that is down later stops nothing. Only public
events are registered; what is private never leaves its database and needs no id.

An id never changes its meaning, and an event version never changes its id by itself. A registry that was lost and
filled again gives other ids, under which records would be misread. So registration first asks the registry for the ids
that the databases keep, and registers nothing where one is missing or means something else.
"""

from collections.abc import Sequence
from typing import Final
from urllib.parse import quote

from waybill.contracts.contracts import Contract
from waybill.registry import stored_ids
from waybill.registry.reach import until_reached
from waybill.registry.registry import Access, RegistrationRefused, Registry
from waybill.registry.stored_ids import StoredId

COMPATIBILITY: Final = "FULL_TRANSITIVE"
_REMEDY: Final = (
    "nothing was registered. A registry that lost its data gets its ids back, while it is still empty, by `python -m "
    "waybill contracts restore`; where it cannot have them, `python -m waybill contracts register --new-ids` moves to "
    'its ids (docs/contracts.md, "A registry that was lost")'
)


def register(
    contracts: Sequence[Contract],
    registry_url: str,
    owner_database_urls: Sequence[str],
    deadline_seconds: float,
    access: Access | None = None,
    *,
    new_ids: bool = False,
) -> list[str]:
    """Register the public ones of the contracts, keep their ids in each database, and give a line on each step.

    Without `access` it is read from the environment. With `new_ids` an event version may get another id than the one
    kept, which stays readable; an id that would mean another event is refused all the same.

    Safe to repeat; blocks while registry and databases start, up to the deadline for each.

    Raises:
        RegistrationRefused: A schema breaks the registry's rule, an id would change its meaning, the registry does not
            take us or we do not take it, or a database has no table for the ids.
        Unreachable: Registry or database did not answer before the deadline.

    """
    contracts = [contract for contract in contracts if contract.topic is not None]
    access = access or Access.given()
    with access.client(registry_url) as client:
        registry = Registry(client, registry_url, access)
        until_reached(registry.name, lambda: registry.call("GET", "/config"), deadline_seconds)
        known = stored_ids.read(owner_database_urls, deadline_seconds)
        _refuse_edited(contracts, known)
        if not new_ids:
            until_reached(registry.name, lambda: _refuse_another_registry(registry, contracts, known), deadline_seconds)
        lines, ids = until_reached(registry.name, lambda: _register_all(registry, contracts), deadline_seconds)
    _refuse_changed_meaning(contracts, ids, known, new_ids=new_ids)
    return lines + [stored_ids.write(url, contracts, ids, deadline_seconds) for url in owner_database_urls]


def _refuse_edited(contracts: Sequence[Contract], known: Sequence[StoredId]) -> None:
    """Refuse a text that was changed: records that were written with the former one carry its id."""
    texts = {(contract.event_type, contract.version): stored_ids.text(contract) for contract in contracts}
    edited = {
        (one.meaning, one.database)
        for one in known
        if one.text is not None and texts.get((one.event_type, one.version), one.text) != one.text
    }
    if edited:
        raise RegistrationRefused(
            f"database {min(database for _, database in edited)}: registered with another text: "
            f"{', '.join(sorted({meaning for meaning, _ in edited}))}; bring the file back and change the next version "
            "(docs/contracts.md), or where all is thrown away: `make reset`"
        )


def _refuse_another_registry(registry: Registry, contracts: Sequence[Contract], known: Sequence[StoredId]) -> None:
    current = {one.schema_id: one for one in known if one.current}
    missing: list[StoredId] = []
    for schema_id, one in current.items():
        found = registry.schema(schema_id)
        if found is None:
            missing.append(one)
        elif one.text is not None and stored_ids.same(found, one.text):
            continue  # a version of newer code than this, which one service's release has registered
        elif (means := stored_ids.meaning(found, contracts)) != one.meaning:
            raise RegistrationRefused(
                f"schema id {schema_id} is {one.meaning} in database {one.database}, and {means} in {registry.name}: "
                f"records with this id would be misread; {_REMEDY}"
            )
    if missing:
        raise RegistrationRefused(
            f"{registry.name} does not have {len(missing)} of {len(current)} schema ids that the databases keep, such "
            f"as {missing[0].schema_id} for {missing[0].meaning} in database {missing[0].database}; {_REMEDY}"
        )


def _refuse_changed_meaning(
    contracts: Sequence[Contract], ids: Sequence[int], known: Sequence[StoredId], *, new_ids: bool
) -> None:
    by_id = {one.schema_id: one for one in known}
    by_meaning = {one.meaning: one for one in known if one.current}
    for contract, schema_id in zip(contracts, ids, strict=True):
        now = f"{contract.event_type} v{contract.version}"
        if (one := by_id.get(schema_id)) and one.meaning != now:
            raise RegistrationRefused(
                f"schema id {schema_id} is {one.meaning} in database {one.database}, and {now} in the registry: "
                "records with this id would be misread. No database was changed. Take a registry whose ids are above "
                f"{max(by_id)}, or an empty one and `python -m waybill contracts restore`"
            )
        # Harmless for records, yet never wanted by accident: subscribers elsewhere resolve ids in their own registry.
        if (one := by_meaning.get(now)) and one.schema_id != schema_id and not new_ids:
            raise RegistrationRefused(
                f"{now} has schema id {one.schema_id} in database {one.database}, and {schema_id} in the registry. No "
                "database was changed; `python -m waybill contracts register --new-ids` moves to the registry's ids"
            )


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
    body = {"schema": stored_ids.text(contract)}
    return int(registry.call("POST", f"/subjects/{quote(contract.subject, safe='')}/versions", body)["id"])

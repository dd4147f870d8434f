"""Give a registry that lost its data the schemas back, each under the id that records carry.

Apicurio's Confluent API takes an id with a schema and does not keep it (3.3.3 answers 200 in mode IMPORT, and counts on
from 1). What keeps ids is the import that goes with its export: an archive of JSON files, into an empty registry. It
answers 204 also where it left something out, so every id is asked for afterwards. Any other registry is taken for
Confluent's, whose mode IMPORT takes id and version with each schema.
"""

import hashlib
import io
import json
import time
import zipfile
from collections.abc import Iterator, Sequence
from typing import Any, Final
from urllib.parse import quote

from waybill.contracts.contracts import Contract
from waybill.registry import stored_ids
from waybill.registry.reach import until_reached
from waybill.registry.registry import Access, RegistrationRefused, Registry
from waybill.registry.stored_ids import StoredId

Restored = dict[str, list[tuple[StoredId, str]]]
"""Subject → ids with their texts, in the order of their versions."""

_MANIFEST: Final = {"systemName": "Waybill", "systemVersion": "3.0", "systemDescription": "", "exportVersion": "3.0"}
_BY: Final = {"owner": "", "modifiedBy": ""}


def restore(
    contracts: Sequence[Contract],
    registry_url: str,
    owner_database_urls: Sequence[str],
    deadline_seconds: float,
    access: Access | None = None,
) -> list[str]:
    """Put the schemas that the databases keep into an empty registry, under their ids; gives a line on each step.

    Changes no database. Where the registry has every id already, nothing is done. Without `access` it is read from the
    environment.

    Raises:
        RegistrationRefused: The databases keep no ids, the registry is not empty, or it did not take what it was given.
        Unreachable: Registry or database did not answer before the deadline.

    """
    access = access or Access.given()
    with access.client(registry_url) as client:
        registry = Registry(client, registry_url, access)
        wanted = _wanted(contracts, stored_ids.read(owner_database_urls, deadline_seconds))
        lines = until_reached(registry.name, lambda: _put_back(registry, contracts, wanted), deadline_seconds)
    return [*lines, "run `python -m waybill contracts register` now"]


def _put_back(registry: Registry, contracts: Sequence[Contract], wanted: Restored) -> list[str]:
    count = sum(map(len, wanted.values()))
    if not list(_differences(registry, contracts, wanted)):
        return [f"registry: it has all {count} ids already"]
    # A registry that has given ids of its own may have given ours to other schemas.
    _refuse_filled(registry)
    if registry.is_apicurio():
        registry.import_archive(_archive(wanted))
    else:
        _import_each(registry, wanted)
    if left_out := list(_differences(registry, contracts, wanted)):
        raise RegistrationRefused(f"{registry.name} did not take all of it: {left_out[0]}; its log tells why")
    return [f"registry: {count} schemas are back under their ids"]


def _wanted(contracts: Sequence[Contract], known: Sequence[StoredId]) -> Restored:
    by_meaning = {(contract.event_type, contract.version): contract for contract in contracts}
    wanted: Restored = {}
    # An id that is no longer current came from another registry: giving it back could collide with one that is.
    ids = {one.schema_id: one for one in known if one.current}
    for one in sorted(ids.values(), key=lambda one: (one.event_type, one.version)):
        contract = by_meaning.get((one.event_type, one.version))
        if contract is None:
            raise RegistrationRefused(
                f"database {one.database} keeps schema id {one.schema_id} for {one.meaning}, which this release does "
                "not have; restore with the newest release"
            )
        wanted.setdefault(contract.subject, []).append((one, one.text or stored_ids.text(contract)))
    if not wanted:
        raise RegistrationRefused("the databases keep no schema ids: there is nothing to restore; run `register`")
    return wanted


def _differences(registry: Registry, contracts: Sequence[Contract], wanted: Restored) -> Iterator[str]:
    for one, _ in (pair for pairs in wanted.values() for pair in pairs):
        found = registry.schema(one.schema_id)
        means = "unknown" if found is None else stored_ids.meaning(found, contracts)
        if means != one.meaning:
            yield f"schema id {one.schema_id} of {one.meaning} in database {one.database} is {means} in {registry.name}"


def _refuse_filled(registry: Registry) -> None:
    filled = registry.call("GET", "/subjects")
    if filled:
        raise RegistrationRefused(
            f"{registry.name} is not empty: it has {len(filled)} subjects, such as {filled[0]}. Nothing was changed. "
            "Ids can be given back to an empty registry only: remove its data, start it, and run this first; where "
            "others use it too, `python -m waybill contracts register --new-ids` moves to the ids that it gives"
        )


def _import_each(registry: Registry, wanted: Restored) -> None:
    for subject, pairs in wanted.items():
        path = quote(subject, safe="")
        # Confluent's API takes an id only in the mode IMPORT, which it grants to an empty subject.
        registry.call("PUT", f"/mode/{path}", {"mode": "IMPORT"})
        for one, text in pairs:
            registry.call(
                "POST", f"/subjects/{path}/versions", {"schema": text, "id": one.schema_id, "version": one.version}
            )
        registry.call("PUT", f"/mode/{path}", {"mode": "READWRITE"})


def _archive(wanted: Restored) -> bytes:
    """Lay the schemas out as Apicurio's export does, in its format 3.0."""
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        for name, content in _files(wanted):
            archive.writestr(name, content if isinstance(content, str) else json.dumps(content))
    return written.getvalue()


def _files(wanted: Restored) -> Iterator[tuple[str, Any]]:
    now = int(time.time() * 1000)
    times = {"createdOn": now, "modifiedOn": now, **_BY}
    yield "manifest.Manifest.json", {**_MANIFEST, "exportedOn": now, "exportedBy": "", "dbVersion": "109"}
    for subject, pairs in wanted.items():
        artifact = {"groupId": None, "artifactId": subject, **times}
        folder = f"groups/default/artifacts/{subject}"
        yield f"{folder}/MetaData.Artifact.json", {**artifact, "artifactType": "AVRO"}
        for rank, (one, text) in enumerate(pairs, 1):
            digest = hashlib.sha256(text.encode()).hexdigest()
            content = {"contentId": one.schema_id, "contentHash": digest, "canonicalHash": digest}
            yield f"content/{digest}.Content.json", {**content, "contentType": "application/json"}
            yield f"content/{digest}.Content.data", text
            version = {"version": str(one.version), "versionOrder": rank, "state": "ENABLED"}
            ids = {"globalId": one.schema_id, "contentId": one.schema_id}
            yield f"{folder}/versions/{one.version}.ArtifactVersion.json", {**artifact, **version, **ids}
        versions = [str(one.version) for one, _ in pairs]
        branch = {"branchId": "latest", "systemDefined": True, "versions": versions}
        yield f"{folder}/branches/latest.Branch.json", {**artifact, **branch}

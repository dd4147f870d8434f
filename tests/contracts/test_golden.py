"""Today's code reads, to the last field, what every earlier version wrote, and still writes the same bytes."""

from typing import Any, cast

import pytest

from schemas import codec
from schemas.contracts import Contract, load
from schemas.events import EVENTS
from tests.contracts.golden import FOLDER, Golden, digest, path, plain

CONTRACTS = load()
every_version = pytest.mark.parametrize("contract", CONTRACTS, ids=[contract.source for contract in CONTRACTS])


def test_every_version_is_kept_and_nothing_else() -> None:
    kept = {file.name for file in FOLDER.glob("*.json")}
    assert kept == {path(contract).name for contract in CONTRACTS}, "run `python -m tests.contracts.golden`"


@every_version
def test_a_kept_payload_is_read_as_it_was_meant(contract: Contract) -> None:
    golden = Golden.read(contract)
    event = codec.decode(contract.event_type, contract.version, golden.payload)
    assert type(event) is EVENTS[contract.event_type]
    assert _same_where_both_have_it(plain(event), golden.fields)


@every_version
def test_the_current_version_still_writes_the_kept_bytes(contract: Contract) -> None:
    golden = Golden.read(contract)
    event = codec.decode(contract.event_type, contract.version, golden.payload)
    if contract.version == event.schema_version:
        assert codec.encode(event) == golden.payload
        assert plain(event) == golden.fields


@every_version
def test_a_kept_version_is_never_edited(contract: Contract) -> None:
    assert Golden.read(contract).schema == digest(contract), (
        f"{contract.source} changed: add the next version instead; or, if it was never deployed, delete "
        f"{path(contract).name} and run `python -m tests.contracts.golden`"
    )


def _same_where_both_have_it(now: object, kept: object) -> bool:
    """Compare, leaving out the fields that a later version added or dropped."""
    match now, kept:
        case dict(), dict():
            mine, theirs = cast("dict[str, Any]", now), cast("dict[str, Any]", kept)
            shared = mine.keys() & theirs.keys()
            return bool(shared) and all(_same_where_both_have_it(mine[key], theirs[key]) for key in shared)
        case list(), list():
            pairs = list(zip(cast("list[Any]", now), cast("list[Any]", kept), strict=True))
            return all(_same_where_both_have_it(*pair) for pair in pairs)
        case _:
            return now == kept

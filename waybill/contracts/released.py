"""Which versions are released: `released.sha256`, one line a file, as `sha256sum --check` reads it too.

A released version may stand in outboxes, topics and registries for ever, so its file never changes: another text would
be another schema in the registry, and bytes that were written with it could no longer be told.
"""

import hashlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from waybill.application import application
from waybill.contracts.contracts import Contract
from waybill.contracts.fields import ContractError

FILE = "released.sha256"

_LINE = re.compile(r"(?P<digest>[0-9a-f]{64})  (?P<source>\S+)")


def problems(contracts: Sequence[Contract], root: Path | None = None) -> Iterator[str]:
    """Give one line for each released version that was changed or is gone, and for each that is not released yet.

    Raises:
        ContractError: The list itself cannot be read.

    """
    root = root or application().schemas
    kept, latest = _kept(root), {contract.event_type: contract.version for contract in contracts}
    for contract in contracts:
        if contract.source not in kept:
            yield f"{contract.source} is not released yet: `python -m waybill contracts release` once it is final"
        elif _digest(root, contract.source) != kept[contract.source]:
            following = f"{contract.name}.v{latest[contract.event_type] + 1}.avsc"
            yield (
                f"{contract.source} is released and was changed: bring it back (git restore), copy it to {following} "
                f"and change that; or, if nobody has deployed it, take its line out of {FILE}"
            )
    for source in kept.keys() - {contract.source for contract in contracts}:
        yield f"{source} is released and gone: bring it back (git restore), what was written with it must stay readable"


def release(contracts: Sequence[Contract], root: Path | None = None) -> list[str]:
    """List the versions that are not released yet, and give their files; lines that are there stay as they are.

    Raises:
        ContractError: The list itself cannot be read.

    """
    root = root or application().schemas
    kept = _kept(root)
    added = {contract.source: _digest(root, contract.source) for contract in contracts if contract.source not in kept}
    lines = [f"{digest}  {source}\n" for source, digest in sorted((kept | added).items())]
    (root / FILE).write_text("".join(lines), encoding="utf-8")
    return sorted(added)


def _kept(root: Path) -> dict[str, str]:
    path = root / FILE
    kept: dict[str, str] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines() if path.exists() else (), start=1):
        found = _LINE.fullmatch(line)
        if found is None or found["source"] in kept:
            raise ContractError(f"{FILE}:{number}: not a digest, two blanks and a file of its own: {line!r}")
        kept[found["source"]] = found["digest"]
    return kept


def _digest(root: Path, source: str) -> str:
    # Read as text: a checkout with other line breaks holds the same schema.
    return hashlib.sha256((root / source).read_text(encoding="utf-8").encode()).hexdigest()

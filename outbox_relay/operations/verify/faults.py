"""What does not match, handed on one at a time: there may be as many faults as events, so none is kept."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal, get_args

Kind = Literal["lost", "reordered", "ghost", "unreadable", "versions", "cursor", "not received", "row"]
KINDS: Final[Sequence[Kind]] = get_args(Kind)


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """One thing that does not match, and where; None for what does not apply.

    `service` is the one whose database shows it; None for a record that no database has. `says` is for people.
    """

    kind: Kind
    says: str
    service: str | None = None
    topic: str | None = None
    partition: int | None = None
    offset: int | None = None
    position: int | None = None
    aggregate_type: str | None = None
    key: str | None = None
    version: int | None = None
    event_id: str | None = None
    event_type: str | None = None
    after_version: int | None = None
    reason: str | None = None
    row: Mapping[str, Any] | None = None
    fold: Mapping[str, Any] | None = None
    remedy: str | None = None

    @property
    def place(self) -> str:
        """Return where it is, in one word: the record, the aggregate, the row of the outbox, or its cursor."""
        if self.offset is not None:
            return f"{self.topic}/{self.partition}/{self.offset}"
        if self.aggregate_type is not None:
            return f"{self.aggregate_type}/{self.key}"
        return f"position {self.position}" if self.position is not None else "waybill_outbox_cursor"

    def shown(self) -> dict[str, Any]:
        """Return all fields, ready for JSON."""
        return {"kind": self.kind, "service": self.service, "place": self.place} | asdict(self)


class Faults:
    """Every fault passes here: counted, and handed on unless an operator has acknowledged it."""

    def __init__(self, tell: Callable[[Fault], object], decided: Callable[[Fault], bool] = lambda _: False) -> None:
        """Take what receives each fault, and what says that an operator has acknowledged it."""
        self._tell, self._decided = tell, decided
        self.found: Counter[Kind] = Counter()
        self.acknowledged = 0

    def add(self, fault: Fault) -> None:
        """Count a fault and hand it on."""
        if self._decided(fault):
            self.acknowledged += 1
        else:
            self.found[fault.kind] += 1
            self._tell(fault)

    def counts(self) -> dict[str, int]:
        """Return how many were acknowledged, and how many of each kind were found."""
        return {"acknowledged": self.acknowledged} | {kind.replace(" ", "_"): self.found[kind] for kind in KINDS}

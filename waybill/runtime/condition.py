"""What a program waits for, logged once when it begins and once when it ends, and told by readiness all the while."""

import time
from typing import Any, Final, Literal, get_args

import structlog

from waybill.observability import metrics

log: Any = structlog.get_logger()

Part = Literal["database", "broker", "topic", "schema", "paused", "stopped"]
PARTS: Final[tuple[Part, ...]] = get_args(Part)


class Condition:
    """Hold what keeps a program from its work, by part; the health thread reads it while the program writes."""

    def __init__(self, *, connected: bool = True) -> None:
        """Start as ready, or, where nothing is known of the database yet, as unready."""
        self._reasons: dict[Part, str] = {} if connected else {"database": "not connected yet"}
        self._since: dict[Part, float] = {}
        self._errors: set[Part] = set()

    def fails(self, part: Part, reason: str, *, operator_needed: bool = False) -> None:
        """Note that a part fails; logs the first time, and at ERROR the first time that an operator is needed."""
        self._reasons[part] = reason
        if part not in self._since or (operator_needed and part not in self._errors):
            self._since.setdefault(part, time.monotonic())
            (log.error if operator_needed else log.warning)("waiting", waits_for=part, reason=reason)
        if operator_needed:
            self._errors.add(part)

    def recovered(self, *parts: Part) -> None:
        """Note that parts work; logs where they failed before."""
        for part in parts:
            since = self._since.pop(part, None)
            if since is not None:
                log.info("recovered", waited_for=part, seconds=round(time.monotonic() - since, 3))
            self._errors.discard(part)
            self._reasons.pop(part, None)

    def show(self, service: str) -> None:
        """Say in the metrics what the program waits for."""
        for part in PARTS:
            metrics.put("waybill_waiting", part in self._reasons, service=service, part=part)

    def unready(self) -> str | None:
        """Return why the program does not do its work, on one line; None while it does, and while it stands by."""
        return "; ".join(f"{part}: {reason}" for part, reason in list(self._reasons.items())) or None

"""What the relay waits for, told once when it starts and once when it ends, and by readiness all the while."""

import time
from typing import Any, Literal

import structlog

log: Any = structlog.get_logger()

Part = Literal["database", "broker", "topic", "schema", "paused"]


class Condition:
    """Hold what is broken in the world, by part; the health thread reads it while the relay writes."""

    def __init__(self, service: str) -> None:
        """Start as unready: nothing is known of the database yet."""
        self.service = service
        self._reasons: dict[Part, str] = {"database": "not connected yet"}
        self._since: dict[Part, float] = {}

    def trouble(self, part: Part, reason: str) -> None:
        """Note that a part is broken; logs the first time only."""
        self._reasons[part] = reason
        if part not in self._since:
            self._since[part] = time.monotonic()
            log.warning("relay_waits", waits_for=part, reason=reason)

    def well(self, *parts: Part) -> None:
        """Note that parts work; logs where they were broken before."""
        for part in parts:
            since = self._since.pop(part, None)
            if since is not None:
                log.info("relay_goes_on", waited_for=part, seconds=round(time.monotonic() - since, 3))
            self._reasons.pop(part, None)

    def unready(self) -> str | None:
        """Return why the relay does not publish, on one line; None while it does, and while it stands by."""
        return "; ".join(f"{part}: {reason}" for part, reason in list(self._reasons.items())) or None

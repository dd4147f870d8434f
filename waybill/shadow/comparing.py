"""Comparisons beside the answers: a bounded number, none of which an answer waits for.

A request that is to be compared takes a slot before its answer is captured, so memory is bounded by the slots: while
all are taken, comparisons are dropped and counted. When the control's answer has gone out, the candidate and the second
control are asked at once, each with a deadline and a largest body, and a thread compares: parsing must not hold the
event loop, which answers clients.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Final

import structlog

from waybill.observability import metrics
from waybill.runtime.threads import Threads
from waybill.shadow.codings import asked_for
from waybill.shadow.comparison import Answer, Difference, Missing, differences
from waybill.shadow.findings import MOST_IN_A_SAMPLE, Findings, Outcome
from waybill.shadow.masking import masked
from waybill.shadow.settings import ShadowSettings
from waybill.shadow.upstream import CONDITIONS, Asked, Headers, Upstream, answer, end_to_end, whole

log: structlog.stdlib.BoundLogger = structlog.get_logger()

MARK: Final = b"X-Waybill-Shadow"  # tells who is asked that no client waits for the answer
NOT_MODIFIED: Final = 304


@dataclass(slots=True)
class Capture:
    """The control's answer to a request that is compared, as it goes out to the client."""

    route: str
    request_id: str
    asked: Asked
    most_bytes: int
    status: int = 0
    headers: Headers = ()
    body: bytearray = field(default_factory=bytearray)
    given_up: Outcome | None = None
    """Why it is not compared after all."""
    late: asyncio.TimerHandle | None = None

    def begin(self, status: int, headers: Headers) -> None:
        """Take status and headers."""
        self.status, self.headers = status, headers
        if status == NOT_MODIFIED:
            self.give_up("not_comparable")  # a condition on the control's own version, which the candidate has not

    def add(self, part: bytes) -> None:
        """Take a part of the body; what is too large is let go of at once."""
        if self.given_up is None:
            self.body += part
            if len(self.body) > self.most_bytes:
                self.give_up("too_large")

    def give_up(self, why: Outcome) -> None:
        """Compare nothing of it, and hold nothing."""
        self.given_up = self.given_up or why
        self.body = bytearray()


class Comparing:
    """The comparisons of a process; of its event loop."""

    def __init__(self, settings: ShadowSettings, findings: Findings) -> None:
        most = settings.shadow_concurrency
        self._settings, self._findings = settings, findings
        self._headers, self._ignored = settings.headers, settings.ignored
        self._candidate = Upstream(settings.shadow_candidate, settings.shadow_seconds, most)
        self._second = Upstream(settings.second_control, settings.shadow_seconds, most)
        self._most, self._taken = most + settings.shadow_queue, 0
        self._at_once = asyncio.Semaphore(most)
        self._thread = Threads(1, "comparing")
        self._tasks: set[asyncio.Task[None]] = set()

    def capture(self, route: str, request_id: str, asked: Asked) -> Capture | None:
        """Take a slot, which `settle` gives back; None where all are taken."""
        if self._taken >= self._most:
            self._count(route, "dropped")
            return None
        self._taken += 1
        metrics.put("shadow_pending", self._taken)
        captured = Capture(route, request_id, asked, self._settings.shadow_body_bytes)
        # An answer that streams on, a byte now and then, must not keep what it has for as long.
        late = asyncio.get_running_loop().call_later(self._settings.shadow_seconds, captured.give_up, "too_slow")
        captured.late = late
        return captured

    def settle(self, captured: Capture, *, complete: bool) -> None:
        """Compare what was captured, in a task of its own, or count why not; blocks nobody."""
        if captured.late is not None:
            captured.late.cancel()
        if not complete:
            captured.give_up("control_failed")
        if captured.given_up:
            self._count(captured.route, captured.given_up)
            self._give_back()
            return
        task = asyncio.create_task(self._compare(captured))
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._give_back()
        if not task.cancelled() and (error := task.exception()):
            log.error("defect", exc_info=error)

    def _give_back(self) -> None:
        self._taken -= 1
        metrics.put("shadow_pending", self._taken)

    def _count(self, route: str, outcome: Outcome) -> None:
        self._findings.count(route, outcome)
        metrics.inc("shadow_comparisons_total", route=route, outcome=outcome)

    async def _compare(self, captured: Capture) -> None:
        async with self._at_once:
            second, candidate = await asyncio.gather(
                self._ask(self._second, captured, "second_control"), self._ask(self._candidate, captured, "candidate")
            )
        await asyncio.wrap_future(self._thread.submit(self._judge, captured, second, candidate))

    async def _ask(self, upstream: Upstream, captured: Capture, side: str) -> Answer | Missing:
        headers = [one for one in end_to_end(captured.asked.headers) if one[0].lower() not in CONDITIONS]
        asked = replace(captured.asked, headers=[*asked_for(headers), (MARK, side.encode())])
        settings = self._settings
        begun = time.monotonic()
        found = await whole(upstream, asked, settings.shadow_seconds, settings.shadow_body_bytes, self._headers)
        metrics.observe("shadow_answer_seconds", time.monotonic() - begun, route=captured.route, side=side)
        return found

    def _judge(self, captured: Capture, second: Answer | Missing, candidate: Answer | Missing) -> None:
        """Compare and keep; in the thread."""
        body = bytes(captured.body)
        control = answer(captured.status, captured.headers, body, captured.most_bytes, self._headers)
        if not isinstance(control, Answer):
            self._count(captured.route, "too_large" if control == "too_large" else "not_decoded")
            return
        if not isinstance(second, Answer):
            self._count(captured.route, "control_failed")
            return
        noise = differences(control, second, self._ignored)
        differing = self._findings.judge(captured.route, differences(control, candidate, self._ignored), noise)
        outcome: Outcome = "mismatch" if differing else "equal"
        metrics.inc("shadow_comparisons_total", route=captured.route, outcome=outcome)
        if differing:
            self._findings.keep(captured.route, self._sample(captured, differing))
            fields = [one.field for one in differing[:MOST_IN_A_SAMPLE]]
            log.info("mismatch", request_id=captured.request_id, route=captured.route, fields=fields)

    def _sample(self, captured: Capture, differing: Sequence[Difference]) -> dict[str, Any]:
        """Return what is kept of a mismatch: neither path nor query, which may be a person's."""
        personal = self._settings.personal_fields
        return {
            "request_id": captured.request_id,
            "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "method": captured.asked.method,
            "differences": [masked(one, personal) for one in differing[:MOST_IN_A_SAMPLE]],
        }

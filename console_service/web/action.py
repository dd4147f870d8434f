"""What changes something: by POST alone, with a role and a reason; first as a dry run, then bound to what that showed.

    redrive = Action("redrive", back="failures", plan=plan, execute=execute)        # screens/failures.py
    path("failures/do/redrive", failures.redrive, name="failures-redrive")          # urls.py

A screen's form posts what is meant, and a reason. `plan` says what that would do, and nothing is done. The page that
shows it has a button, and a seal: who, which action, the exact fields and the plan's digest, signed, for ten minutes.
The second POST carries the seal. Where the fields are others, or the plan is another one by then, it is refused and the
new plan is shown. So nobody executes what they have not seen.

Who asked for it is on record in the console's own database before it begins, and by the operation itself in the
service's (screen `audit`).
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import psycopg
import structlog
from django.core import signing
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_POST

from console_service.web.access import Forbidden, Role, Viewer, viewer_of
from console_service.web.page import SAID, refused, rendered
from console_service.web.record import record
from outbox_relay.operations.topology import DependencyDown, UsageError
from waybill.database.sqlstate import one_line

log: Any = structlog.get_logger()
SEAL_SECONDS: Final = 600
SEAL: Final = "seal"
REASON: Final = "reason"
LONGEST_REASON: Final = 500
OURS: Final = frozenset({SEAL, REASON, "csrfmiddlewaretoken"})


class Refused(Exception):
    """What was asked for cannot be done; the message says why and what can."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What an action would do."""

    says: str
    """One sentence: what happens, to how many."""
    lines: Sequence[str] = ()
    """Each thing that it happens to, or the first of many."""
    warning: str = ""
    """What could happen twice, or cannot be taken back."""
    bound: Any = None
    """What must still be so at the execution, as JSON takes it; None: `says` and `lines`."""

    @property
    def digest(self) -> str:
        """Return what changes when the plan does."""
        bound = [self.says, list(self.lines)] if self.bound is None else self.bound
        return hashlib.sha256(json.dumps(bound, sort_keys=True, default=str).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Asked:
    """Who asks for what, and why."""

    fields: QueryDict
    by: str
    reason: str
    viewer: Viewer


@dataclass(frozen=True)
class Action:
    """A view that plans, and then executes what was planned.

    `plan` returns what would be done and changes nothing; `execute` does it and returns a sentence on what came of it.
    Both raise Refused, UsageError, DependencyDown or psycopg.Error where it cannot be done. `back` is the URL's name
    of the screen that follows, or a function of what was asked that returns the URL itself.
    """

    name: str
    back: str | Callable[[Asked], str]
    plan: Callable[[Asked], Plan]
    execute: Callable[[Asked], str]
    role: Role = Role.OPERATE
    csrf_exempt: bool = field(default=False, init=False)  # Django looks for it at a view

    @property
    def verb(self) -> str:
        """Return what the record calls it."""
        return f"console {self.name}"

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer a POST; any other method is refused."""
        return require_POST(self._answer)(request)

    def _answer(self, request: HttpRequest) -> HttpResponse:
        try:
            viewer = viewer_of(request)
            viewer.require(self.role)
            asked = Asked(request.POST, viewer.subject, _reason(request), viewer)
            plan = self.plan(asked)
            if not self._sealed(asked, plan):
                return self._dry_run(request, asked, plan, again=SEAL in asked.fields)
            record(asked.by, self.verb, asked.reason, {"asked": _given(asked.fields), "plan": plan.says})
            said = self.execute(asked)
        except Forbidden as error:
            log.warning("action refused", action=self.name, reason=str(error))
            return refused(request, 403, str(error))
        except (Refused, UsageError) as error:
            return refused(request, 422, str(error))
        except DependencyDown as error:
            return refused(request, 503, str(error))
        except psycopg.Error as error:
            return refused(request, 503, f"the database did not do it: {one_line(error)}")
        log.info("action done", action=self.name, by=asked.by, reason=asked.reason, said=said)
        request.session[SAID] = said
        return redirect(self.back(asked) if callable(self.back) else reverse(self.back))

    def _dry_run(self, request: HttpRequest, asked: Asked, plan: Plan, *, again: bool) -> HttpResponse:
        seal = signing.dumps(self._meant(asked, plan), salt=self.verb)
        shown = {
            "title": "Dry run",
            "plan": plan,
            "fields": _given(asked.fields),
            "reason": asked.reason,
            "seal": seal,
            "again": again,
            "polled": False,
            "back": self.back(asked) if callable(self.back) else reverse(self.back),
        }
        return rendered(request, "console/dry_run.html", shown)

    def _sealed(self, asked: Asked, plan: Plan) -> bool:
        try:
            meant = signing.loads(asked.fields.get(SEAL, ""), salt=self.verb, max_age=SEAL_SECONDS)
        except signing.BadSignature:
            return False
        return meant == self._meant(asked, plan)

    def _meant(self, asked: Asked, plan: Plan) -> list[Any]:
        return [asked.by, asked.reason, _given(asked.fields), plan.digest]


def _reason(request: HttpRequest) -> str:
    given = request.POST.get(REASON, "").strip()
    if not 0 < len(given) <= LONGEST_REASON:
        raise Refused(f"say why, in {LONGEST_REASON} characters at most: the reason is on record")
    return given


def _given(fields: QueryDict) -> list[list[Any]]:
    return [[name, values] for name, values in sorted(fields.lists()) if name not in OURS]

"""What no type says of a request: no name twice, no query parameter that nobody reads, no more values than make sense.

What is passed over in silence is a client's error that nobody sees: `statuss=PENDING` lists everything.
"""

import json
from collections.abc import Callable
from typing import Any, Final, cast

from django.core.exceptions import TooManyFieldsSent
from django.http import HttpRequest, HttpResponse
from ninja.parser import Parser

from waybill.deciders.outcomes import Code
from waybill.rest.problem import Problem

MOST_VALUES: Final = 5_000  # in one body: every one of them can be an error, which is made before it is cut
MOST_NAMED: Final = 20


class StrictParser(Parser):
    """Read JSON as RFC 8259 has it, with every name once."""

    def parse_body(self, request: HttpRequest) -> Any:
        """Return what the body says; raises ValueError where it is no JSON, and a Problem where it is not taken."""
        try:
            found = json.loads(request.body, object_pairs_hook=_object, parse_constant=_no_number)
        except RecursionError:
            raise ValueError("nested too deep") from None
        if request.body.count(b",") >= MOST_VALUES and (values := _values(found)) > MOST_VALUES:
            detail = f"the body has {values} values; {MOST_VALUES} are taken at most"
            raise Problem(422, Code.NOT_VALID, detail, errors=[{"field": "body", "detail": detail}])
        return found


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))
        detail = "this name is given twice in one object"
        raise Problem(422, Code.NOT_VALID, f"{twice}: {detail}", errors=[{"field": twice, "detail": detail}])
    return found


def _no_number(word: str) -> None:
    raise ValueError(f"{word} is no JSON")


def _values(found: Any) -> int:
    waiting, count = [found], 0
    while waiting:
        one = waiting.pop()
        count += 1
        if isinstance(one, dict):
            waiting.extend(cast("dict[str, Any]", one).values())
        elif isinstance(one, list):
            waiting.extend(cast("list[Any]", one))
    return count


def refuse_unknown_query(operation: Any, answer: Callable[[HttpRequest, Problem], HttpResponse]) -> None:
    """Let an operation of ninja's answer 422 to a query parameter that it does not read."""
    known = frozenset(
        name
        for model in operation.models
        if model.__ninja_param_source__ == "query"
        for name in getattr(model, "__ninja_flatten_map__", ())
    )
    run = operation.run

    def in_thread(request: HttpRequest, **path: Any) -> Any:
        wrong = _unknown(request, known)
        return answer(request, wrong) if wrong else run(request, **path)

    async def in_loop(request: HttpRequest, **path: Any) -> Any:
        wrong = _unknown(request, known)
        return answer(request, wrong) if wrong else await run(request, **path)

    operation.run = in_loop if operation.is_async else in_thread


def _unknown(request: HttpRequest, known: frozenset[str]) -> Problem | None:
    try:
        wrong = [name for name in request.GET if name not in known]
    except TooManyFieldsSent:
        return Problem(422, Code.NOT_VALID, "there are more than 1000 query parameters")
    if not wrong:
        return None
    detail = f"no such parameter; there are {', '.join(sorted(known))}" if known else "no parameter is taken here"
    errors = [{"field": name, "detail": detail} for name in wrong[:MOST_NAMED]]
    return Problem(422, Code.NOT_VALID, f"{wrong[0]}: {detail}", errors=errors)

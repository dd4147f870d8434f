"""The events of an aggregate as server-sent events: those that are there, and the others as they are committed.

An event's id is its version, so a client that lost the connection goes on after `Last-Event-ID`. A stream ends after
the aggregate's last event; whoever asks again then gets 204, at which a browser stops asking.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

from django.core.serializers.json import DjangoJSONEncoder
from django.http import HttpRequest, HttpResponseBase, StreamingHttpResponse

from waybill.models import AggregateRow
from waybill.outbox.outbox import Recorded, history
from waybill.rest.answers import nothing
from waybill.rest.openapi.operations import View, facts_of
from waybill.rest.problem import not_valid
from waybill.rest.serving.request_threads import read
from waybill.rest.waiting import CHANGES

EVENT_STREAM: Final = "text/event-stream"
LAST_EVENT_ID: Final = "Last-Event-ID"
HEARTBEAT_SECONDS: Final = 15  # a comment, at which balancers keep the connection
LONGEST_SECONDS: Final = 15 * 60  # then the client asks again, and its token is checked again
RETRY_MILLISECONDS: Final = 1_000
MOST_DIGITS: Final = 9
ANSWERS: Final[dict[str, dict[str, Any]]] = {
    "200": {
        "description": "The events, each with its version as `id`, its type as `event` and itself in JSON as `data`.",
        "content": {EVENT_STREAM: {"schema": {"type": "string"}}},
    },
    "204": {"description": "The client has all events, and there will be no more."},
}


def streams(view: View) -> View:
    """Say that the endpoint answers with a stream of events."""
    facts = facts_of(view)
    facts.takes += (LAST_EVENT_ID,)
    facts.media_types = (EVENT_STREAM,)
    facts.answers = ANSWERS
    return view


def last_event_id(request: HttpRequest) -> int:
    """Return the version of the last event that the client has; 0 where it has none. Raises a 422."""
    given = request.headers.get(LAST_EVENT_ID, "0")
    if not (given.isascii() and given.isdigit() and len(given) <= MOST_DIGITS):
        raise not_valid(LAST_EVENT_ID, "give the id of an event of this stream, or leave the header out")
    return int(given)


async def stream(
    request: HttpRequest, find: Callable[[], AggregateRow], view: Callable[[Recorded], dict[str, Any]]
) -> HttpResponseBase:
    """Return the stream of the events of the aggregate whose row `find` reads. Raises what `find` raises, and a 422."""
    last = last_event_id(request)
    row = await read(find)
    if row.has_ended and last >= row.version:
        return nothing()
    return StreamingHttpResponse(_events(row, find, view, last), content_type=EVENT_STREAM)


async def _events(
    row: AggregateRow, find: Callable[[], AggregateRow], view: Callable[[Recorded], dict[str, Any]], last: int
) -> AsyncIterator[bytes]:
    loop = asyncio.get_running_loop()
    end = loop.time() + LONGEST_SECONDS
    yield b"retry: %d\n\n" % RETRY_MILLISECONDS
    while True:
        for recorded in await read(history, row.aggregate_type, str(row.pk), after=last):
            yield _frame(recorded, view(recorded))
            last = recorded.version
        if (row.has_ended and last >= row.version) or CHANGES.closed or loop.time() > end:
            return
        if not await CHANGES.after(row, HEARTBEAT_SECONDS):
            yield b":\n\n"
        row = await read(find)


def _frame(recorded: Recorded, shown: dict[str, Any]) -> bytes:
    data = json.dumps(shown, cls=DjangoJSONEncoder)
    return f"id: {recorded.version}\nevent: {type(recorded.event).__name__}\ndata: {data}\n\n".encode()

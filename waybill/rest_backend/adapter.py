"""A neutral request said in the collection contract (docs/collection-contract.md).

Subclass it for a service of another kind, or where a write is a command, and name it in a connection's OPTIONS:

    class Reviews(CollectionAdapter):
        def update(self, update):
            if update.values.get("status") == "withdrawn":
                return self.command(f"/reviews/{update.key}/withdraw")
            return super().update(update)
"""

import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final, cast
from urllib.parse import quote

from waybill.rest.filters import Compare, as_parameters
from waybill.rest_backend.errors import ServiceUnavailable
from waybill.rest_backend.request import Count, Delete, Insert, Read, Resource, Row, Update
from waybill.rest_backend.service import Answer, Call

Send = Callable[[Call], Answer]
VERSION: Final = "_version"


class CollectionAdapter:
    """Reads and writes of one service, over `send`, which makes a call and counts it."""

    def __init__(self, send: Send, link: Callable[[Call, str], Call], page_rows: int) -> None:
        self._send, self._link, self._page_rows = send, link, page_rows

    def pages(self, read: Read) -> Iterator[list[Row]]:
        """Yield the rows page by page; the next one is asked for when it is wanted."""
        left = read.limit
        call: Call | None = Call("GET", f"/{read.resource.name}", self._parameters(read))
        while call is not None and left != 0:
            body = self._object(call, self._send(call).body)
            rows = self._items(call, read, body)
            if left is not None:
                rows = rows[:left]
                left -= len(rows)
            yield rows
            link = body.get("next")
            call = self._link(call, str(link)) if link else None

    def count(self, count: Count) -> int:
        """Return how many rows match."""
        parameters = (*as_parameters(count.where), ("limit", "0"), ("count", "true"))
        call = Call("GET", f"/{count.resource.name}", parameters)
        found = self._object(call, self._send(call).body).get("count")
        if not isinstance(found, int) or isinstance(found, bool):
            raise ServiceUnavailable(f"{call}: the answer has no count")
        return found

    def insert(self, insert: Insert) -> list[Row]:
        """Return the new rows as the service has them."""
        body = dict(insert.rows[0]) if len(insert.rows) == 1 else {"items": [dict(row) for row in insert.rows]}
        headers = {"Idempotency-Key": str(uuid.uuid4())}
        call = Call("POST", f"/{insert.resource.name}", body=body, headers=headers, writing=True)
        told = self._object(call, self._send(call).body)
        rows = [told] if len(insert.rows) == 1 else told.get("items")
        if not isinstance(rows, list) or len(cast("list[Any]", rows)) != len(insert.rows):
            raise ServiceUnavailable(f"{call}: {len(insert.rows)} rows were sent, and the answer has not as many")
        return [self._row(call, insert.resource, row) for row in cast("list[Any]", rows)]

    def update(self, update: Update) -> Row | None:
        """Return the row as the service has it, or None where there is no such row."""
        headers = {} if update.version is None else {"If-Match": f'"{update.version}"'}
        path = f"/{update.resource.name}/{_segment(update.key)}"
        unversioned = update.version is None
        call = Call("PATCH", path, body=dict(update.values), headers=headers, repeatable=unversioned, writing=True)
        answer = self._send(call)
        return None if answer.status == 404 else self._row(call, update.resource, answer.body)  # noqa: PLR2004

    def delete(self, delete: Delete) -> int:
        """Return how many rows were deleted."""
        resource, keys = delete.resource, delete.keys
        if len(keys) == 1:
            headers = {} if delete.version is None else {"If-Match": f'"{delete.version}"'}
            answer = self._send(Call("DELETE", f"/{resource.name}/{_segment(keys[0])}", headers=headers, writing=True))
            # Gone when it was asked for again: by the attempt before, whose answer was lost.
            return 0 if answer.status == 404 and answer.attempts == 1 else 1  # noqa: PLR2004
        call = Call("DELETE", f"/{resource.name}", as_parameters(Compare(resource.key, "in", keys)), writing=True)
        answer = self._send(call)
        if answer.status == 404:  # noqa: PLR2004
            raise ServiceUnavailable(f"{call}: 404: there is no such collection")
        deleted = self._object(call, answer.body).get("deleted")
        if not isinstance(deleted, int):
            raise ServiceUnavailable(f"{call}: the answer does not say how many rows were deleted")
        return deleted

    def command(self, path: str, body: Mapping[str, Any] | None = None) -> Answer:
        """POST a command of the service's own, once."""
        headers = {"Idempotency-Key": str(uuid.uuid4())}
        return self._send(Call("POST", path, body=dict(body or {}), headers=headers, writing=True))

    def _parameters(self, read: Read) -> tuple[tuple[str, str], ...]:
        rows = self._page_rows if read.limit is None else min(read.limit, self._page_rows)
        sort = ",".join(f"-{one.field}" if one.falling else one.field for one in read.sort)
        return (
            *as_parameters(read.where),
            *([("sort", sort)] if sort else []),
            *([("offset", str(read.offset))] if read.offset else []),
            ("limit", str(rows)),
            ("fields", ",".join(read.fields)),
        )

    def _items(self, call: Call, read: Read, body: Mapping[str, Any]) -> list[Row]:
        items = body.get("items")
        if not isinstance(items, list):
            raise ServiceUnavailable(f"{call}: the answer has no list of items")
        return [self._row(call, read.resource, item, read.fields) for item in cast("list[Any]", items)]

    def _row(self, call: Call, resource: Resource, item: Any, fields: tuple[str, ...] = ()) -> Row:
        """Return an item; members that nobody asked for are no concern of ours, a missing one is an error."""
        row = self._object(call, item)
        if missing := [name for name in (resource.key, *fields) if name not in row]:
            raise ServiceUnavailable(f"{call}: an item of {resource.name} lacks {', '.join(missing)}")
        return row

    def _object(self, call: Call, body: Any) -> dict[str, Any]:
        if not isinstance(body, dict):
            raise ServiceUnavailable(f"{replace(call, body=None)}: the answer is no JSON object")
        return cast("dict[str, Any]", body)


def _segment(key: Any) -> str:
    return quote(str(key), safe="")

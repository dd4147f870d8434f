"""Collections under URLs: one view a collection for its list, one for its items."""

import json
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar, cast
from urllib.parse import quote

from django.core.exceptions import RequestDataTooBig, ValidationError
from django.db import DatabaseError, DataError, IntegrityError, models, router, transaction
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, include, path
from django.views.decorators.csrf import csrf_exempt

from waybill.deciders.outcomes import Code
from waybill.observability.telemetry import new_id
from waybill.rest.answers import answer, nothing
from waybill.rest.collections import asked, own_writes
from waybill.rest.collections.access import Action
from waybill.rest.collections.collection import Collection
from waybill.rest.collections.once import once
from waybill.rest.collections.validating import Taken
from waybill.rest.conditions import check, unchanged
from waybill.rest.filters import MOST_VALUES, Compare
from waybill.rest.problem import Problem, not_valid

MOST_ITEMS: Final = MOST_VALUES  # of one POST
TAKEN: Final = frozenset({"23505", "SQLITE_CONSTRAINT_UNIQUE", "SQLITE_CONSTRAINT_PRIMARYKEY"})
View = Callable[..., HttpResponse]
Row = TypeVar("Row", models.Model, dict[str, Any])


def serve(*collections: Collection) -> Any:
    """Return what `path("v1/", …)` takes: `NAME` and `NAME/KEY` of each collection."""
    return include([pattern for one in collections for pattern in _patterns(one)])


def _patterns(collection: Collection) -> list[URLPattern]:
    served = Served(collection)
    return [
        path(
            collection.name,
            served.view({"GET": served.page, "POST": served.create, "DELETE": served.delete_several}),
        ),
        path(
            f"{collection.name}/<path:key>",
            served.view({"GET": served.read, "PATCH": served.change, "PUT": served.replace, "DELETE": served.delete}),
        ),
    ]


def _not_allowed(methods: Mapping[str, View]) -> View:
    allowed = ", ".join(methods)

    def refuse(_request: HttpRequest, **_named: str) -> HttpResponse:
        raise Problem(405, Code.METHOD_NOT_ALLOWED, f"one of {allowed}", headers={"Allow": allowed})

    return refuse


def problem_of(error: Exception) -> Problem | None:
    """Return the answer to what a client can do something about; the rest is an error of ours."""
    match error:
        case Problem():
            return error
        case ValidationError():
            errors = [{"field": name, "detail": text} for name, texts in _told(error).items() for text in texts]
            status, code = (409, Code.ALREADY_EXISTS) if isinstance(error, Taken) else (422, Code.NOT_VALID)
            return Problem(status, code, f"{errors[0]['field']}: {errors[0]['detail']}", errors=errors)
        case models.ProtectedError() | models.RestrictedError():
            return Problem(409, Code.CONFLICT, "other rows refer to this one; nothing was deleted")
        case IntegrityError():
            code = Code.ALREADY_EXISTS if _is_taken(error) else Code.CONFLICT
            return Problem(409, code, str(error).partition("\n")[0])
        case DataError() | OverflowError():
            return Problem(422, Code.NOT_VALID, str(error).partition("\n")[0])
        case RequestDataTooBig():
            return Problem(413, Code.BODY_TOO_LARGE, "the body is larger than this service takes")
        case DatabaseError():
            detail = "our database is away; nothing was done, try again"
            return Problem(503, Code.DATABASE_UNAVAILABLE, detail, headers={"Retry-After": "1"})
        case _:
            return None


def _is_taken(error: IntegrityError) -> bool:
    """Tell whether a unique value was taken, by what PostgreSQL's driver, or SQLite's, has beside the message."""
    codes = {getattr(error.__cause__, name, None) for name in ("sqlstate", "sqlite_errorname")}
    return not codes.isdisjoint(TAKEN)


def _told(error: ValidationError) -> dict[str, list[str]]:
    return error.message_dict if hasattr(error, "error_dict") else {"body": error.messages}


class Served:
    """The methods of one collection."""

    def __init__(self, collection: Collection) -> None:
        self.collection = collection
        self.alias = router.db_for_write(collection.model)

    def view(self, methods: Mapping[str, View]) -> View:
        """Return a view of Django's that answers these methods."""

        @csrf_exempt
        def view(request: HttpRequest, **named: str) -> HttpResponse:
            try:
                method = "GET" if request.method == "HEAD" else str(request.method)
                response = methods.get(method, _not_allowed(methods))(request, **named)
                return own_writes.told(request, response, self.collection)
            except Exception as error:
                if (problem := problem_of(error)) is None:
                    raise
                given = request.META.get("waybill.request_id") or request.headers.get("X-Request-ID")
                return problem.response(given or new_id())

        return view

    def _let(self, request: HttpRequest, action: Action) -> None:
        """Raise where the caller may not do this, and wait for the caller's own writes where reads lag."""
        self.collection.allow(request, action)
        own_writes.wait(request, self.collection)

    def page(self, request: HttpRequest) -> HttpResponse:
        """Answer with a page of the list."""
        collection = self.collection
        self._let(request, Action.READ)
        wanted = self._asked(request)
        items, cursor = collection.page(request, wanted)
        body: dict[str, Any] = {"items": items, "next": self._next(request, cursor)}
        if wanted.count:
            body["count"] = collection.count(request, wanted)
        return answer(200, body, cache_control="no-store")

    def read(self, request: HttpRequest, key: str) -> HttpResponse:
        """Answer with one row."""
        collection = self.collection
        self._let(request, Action.READ)
        asked.refuse_parameters(request.GET, but="fields")
        fields = self._asked(request).fields
        row = _present(collection.row(request, key))
        version = collection.version_of(row)
        return unchanged(request, version) or answer(
            200, collection.item(row, fields), version=version, cache_control="no-store"
        )

    def create(self, request: HttpRequest) -> HttpResponse:
        """Create one row, or several."""
        collection = self.collection
        self._let(request, Action.CREATE)
        asked.refuse_parameters(request.GET)
        body = _object(request)

        def act() -> HttpResponse:
            if body.keys() == {"items"} and "items" not in collection.fields:
                return answer(201, {"items": self._create_all(body["items"])})
            row = self._created(body)
            where = f"{request.path.rstrip('/')}/{quote(str(row[collection.key]), safe='')}"
            return answer(201, self._whole(row), version=collection.version_of(row), location=where)

        return once(request, self.alias, act)

    def change(self, request: HttpRequest, key: str) -> HttpResponse:
        """Change some fields of a row."""
        return self._changed(request, key, whole=False)

    def replace(self, request: HttpRequest, key: str) -> HttpResponse:
        """Change every field of a row."""
        return self._changed(request, key, whole=True)

    def delete(self, request: HttpRequest, key: str) -> HttpResponse:
        """Delete a row."""
        collection = self.collection
        self._let(request, Action.DELETE)
        asked.refuse_parameters(request.GET)
        with transaction.atomic(using=self.alias):
            instance = _present(collection.found(request, key))
            check(request, collection.version_of(collection.row_of(instance)))
            collection.delete(instance)
        return nothing()

    def delete_several(self, request: HttpRequest) -> HttpResponse:
        """Delete the rows of a list of keys: nothing that could be everything by a slip of the client's."""
        collection = self.collection
        self._let(request, Action.DELETE)
        wanted = self._asked(request)
        match wanted.where:
            case Compare(field, "in", values) if field == collection.key:
                given = cast("tuple[Any, ...]", values)
            case _:
                raise not_valid(f"{collection.key}__in", "name the keys of what is to be deleted, and nothing else")
        with transaction.atomic(using=self.alias):
            found = [collection.found(request, str(key)) for key in dict.fromkeys(given)]
            rows = [row for row in found if row is not None]
            for row in rows:
                collection.delete(row)
        return answer(200, {"deleted": len(rows)})

    def _changed(self, request: HttpRequest, key: str, *, whole: bool) -> HttpResponse:
        collection = self.collection
        self._let(request, Action.CHANGE)
        asked.refuse_parameters(request.GET)
        body = _object(request)
        if whole:
            missing = [name for name in collection.fields if name not in {*body, *collection.read_only, collection.key}]
            if missing:
                raise ValidationError({name: ["a PUT gives every field"] for name in missing})
        with transaction.atomic(using=self.alias):
            instance = _present(collection.found(request, key))
            check(request, collection.version_of(collection.row_of(instance)))
            given = {name: value for name, value in body.items() if name != collection.key}
            if collection.key in body and str(body[collection.key]) != str(instance.pk):
                raise ValidationError({collection.key: ["the key of a row does not change"]})
            names = collection.filled(instance, given)
            collection.validated(instance)
            if names:
                collection.change(instance, names)
            row = collection.row_of(instance)
        return answer(200, self._whole(row), version=collection.version_of(row))

    def _create_all(self, items: Any) -> list[dict[str, Any]]:
        if not (isinstance(items, list) and all(isinstance(one, dict) for one in cast("list[Any]", items))):
            raise ValidationError({"items": ["expected a list of objects"]})
        given = cast("list[dict[str, Any]]", items)
        if len(given) > MOST_ITEMS:
            raise ValidationError({"items": [f"{len(given)} items; {MOST_ITEMS} at most"]})
        return [self._whole(self._created(one, f"items[{index}].")) for index, one in enumerate(given)]

    def _created(self, given: Mapping[str, Any], where: str = "") -> dict[str, Any]:
        collection = self.collection
        instance = collection.model()
        collection.filled(instance, given, where)
        collection.validated(instance, where)
        collection.create(instance)
        return collection.row_of(instance)

    def _whole(self, row: Mapping[str, Any]) -> dict[str, Any]:
        return self.collection.item(row, tuple(self.collection.fields))

    def _asked(self, request: HttpRequest) -> asked.Asked:
        return asked.read(request.GET, self.collection.names)

    def _next(self, request: HttpRequest, cursor: str | None) -> str | None:
        if cursor is None:
            return None
        query = request.GET.copy()
        for name in ("offset", "count"):
            query.pop(name, None)
        query["cursor"] = cursor
        return f"{request.path}?{query.urlencode(safe=',')}"


def _present(found: Row | None) -> Row:
    if found is None:
        raise Problem(404, Code.NOT_FOUND, "no such item")
    return found


def _object(request: HttpRequest) -> dict[str, Any]:
    try:
        given = json.loads(request.body)
    except (ValueError, RecursionError):
        given = None
    if not isinstance(given, dict):
        raise asked.malformed("expected one JSON object in UTF-8")
    return cast("dict[str, Any]", given)

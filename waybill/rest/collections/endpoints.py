"""A collection that is only read, as endpoints of a service's API: rows that follow from events, changed by commands.

    # api.py
    router.add_router("/collections", reads(Bookings(BookingRow, "bookings", may=bearer()), commands=(book, cancel)))

So `GET /v1/collections/bookings` and `…/{key}` have all that the API's other endpoints have: tokens, limits, errors,
metrics, a place in its OpenAPI document. Any other method is a 405 that names the commands' endpoints.

A read that has no index to go by could take a session for minutes. `filters` and `sorts` of the collection keep clients
to the indexes; what remains (a count of everything, a rare value far down) ends after `Collection.longest_seconds`.
"""

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any, Final

from django.db import DatabaseError, DataError, OperationalError, connections, router, transaction
from django.http import HttpRequest, HttpResponse
from ninja import Router
from ninja.params.functions import Path

from waybill.database.sqlstate import cause_of
from waybill.deciders.outcomes import Code
from waybill.rest.collections.access import Scopes
from waybill.rest.collections.collection import Collection
from waybill.rest.collections.serving import Served, problem_of
from waybill.rest.openapi import collections as described
from waybill.rest.openapi.operations import facts_of, tagged
from waybill.rest.problem import Problem

CANCELLED: Final = "57014"  # SQLSTATE of a statement that took too long
LIMIT: Final = "SELECT set_config('statement_timeout', %s, true)"
Key = Annotated[str, Path(description="The row's key.", max_length=described.LONGEST_KEY)]


def reads(collection: Collection, *, commands: Sequence[Callable[..., Any]] = ()) -> Router:
    """Return a router with the collection's list and its items. `commands`: the endpoints that change its rows."""
    served = Served(collection)
    alias = router.db_for_read(collection.model)

    def page(request: HttpRequest) -> HttpResponse:
        with _bounded(alias, collection.longest_seconds):
            return served.page(request)

    @tagged
    def item(request: HttpRequest, key: Key) -> HttpResponse:
        with _bounded(alias, collection.longest_seconds):
            return served.read(request, key)

    found: Any = Router()
    for view, path in ((page, f"/{collection.name}"), (item, f"/{collection.name}/{{key}}")):
        facts = facts_of(view)
        facts.commands, facts.reads_query = tuple(commands), True
        if isinstance(collection.may, Scopes) and collection.may.reading is not None:
            facts.scope = collection.may.reading
            facts.codes.append(Code.FORBIDDEN)
        operation = (described.page if view is page else described.item)(collection)
        view.__doc__, facts.schemas, facts.answers = operation.summary, operation.schemas, operation.answers
        facts.codes += [Code.TOO_EXPENSIVE, Code.TARGET_TOO_LONG] if view is page else [Code.NOT_FOUND]
        found.add_api_operation(
            path,
            ["GET"],
            view,
            response={200: None},
            operation_id=operation.name,
            summary=operation.summary,
            tags=["collections"],  # and not the service's own beside it: a generated client has a class for each
            description=operation.description,
            openapi_extra={"parameters": operation.parameters},
        )
    return found


@contextmanager
def _bounded(alias: str, seconds: float) -> Generator[None]:
    """Let no statement take longer. Raises the answer to what a client can do something about."""
    connection = connections[alias]
    try:
        with transaction.atomic(using=alias):
            if connection.vendor == "postgresql":
                with connection.cursor() as cursor:
                    cursor.execute(LIMIT, [f"{round(seconds * 1000)}ms"])
            yield
    except (DataError, OverflowError) as error:
        problem = problem_of(error)
        assert problem is not None
        raise problem from None
    except OperationalError as error:
        if not _took_too_long(error):
            raise
        detail = f"this takes longer than {seconds:g} s: filter by more, or leave `count` out"
        raise Problem(422, Code.TOO_EXPENSIVE, detail) from None


def _took_too_long(error: DatabaseError) -> bool:
    found = cause_of(error)
    return found is not None and found.sqlstate == CANCELLED

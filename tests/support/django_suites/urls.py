"""Every model as a collection, under the name of its table, which is what the backend asks for.

A collection here is a table and no application: a row is saved as it came, without validation, and deleting one deletes
nothing else, since what Django's tests count on is done by the Django in front. Uniqueness is the database's.
"""

from typing import Any

from django.db import models
from django.http import HttpRequest, JsonResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

from tests.support.collection_server import tables
from tests.support.django_suites import baseline
from waybill.rest.collections import Collection, anybody, serve


class Table(Collection):
    """Rows of one table, and nothing of what their model does when it is saved."""

    clean = False

    def name_of(self, field: Any) -> str:
        return field.column

    def rows(self, request: HttpRequest) -> models.QuerySet[Any]:  # noqa: ARG002 - Collection's signature
        return models.QuerySet(self.model)

    def create(self, instance: models.Model) -> None:
        instance.save_base(raw=True, force_insert=True)

    def change(self, instance: models.Model, fields: list[str]) -> None:
        instance.save_base(raw=True, update_fields=fields)

    def delete(self, instance: models.Model) -> None:
        models.QuerySet(self.model).filter(pk=instance.pk)._raw_delete("default")


def paths(model: Any, depth: int = 3) -> list[str]:
    """Return what rows can be ordered by of the rows that they refer to, and of those that these refer to."""
    found = []
    for field in model._meta.local_concrete_fields if depth else ():
        if field.is_relation and field.related_model:
            related = field.related_model._meta.concrete_model
            columns = [one.attname for one in related._meta.local_concrete_fields if one.attname == one.column]
            found += [f"{field.name}__{one}" for one in (*columns, *paths(related, depth - 1))]
    return found


def table(model: Any) -> Table:
    return Table(model, model._meta.db_table, may=anybody, order_by=tuple(paths(model)))


def act(function: Any) -> Any:
    @csrf_exempt
    def view(_request: HttpRequest) -> JsonResponse:
        function()
        return JsonResponse({})

    return view


urlpatterns = [
    path("v1/", serve(*map(table, tables()))),
    path("baseline", act(baseline.keep)),
    path("reset", act(baseline.reset)),
]

"""A query becomes a request that knows nothing of HTTP."""

import pytest
from django.db import NotSupportedError, connections
from django.db.models import Q

from tests.support.library.models import Author, Book
from waybill.rest.filters import EVERYTHING, AnyOf, Compare, Not
from waybill.rest_backend.adapter import CollectionAdapter
from waybill.rest_backend.request import Count, Delete, Insert, Read, Resource, Sort, Update

ALIAS = "told"
AUTHORS = Resource("library_author", "id")
ADA = {"id": 1, "name": "Ada", "born": None, "_version": "v1"}
ALL = ("born", "id", "name")


class Told(CollectionAdapter):
    """An adapter of another kind of service: one that writes down what it is asked."""

    def __init__(self, *_):
        self.requests = []

    def pages(self, read):
        self.requests.append(read)
        yield [ADA] if read.resource == AUTHORS else []

    def count(self, count):
        self.requests.append(count)
        return 1

    def insert(self, insert):
        self.requests.append(insert)
        return [ADA for _ in insert.rows]

    def update(self, update):
        self.requests.append(update)
        return ADA

    def delete(self, delete):
        self.requests.append(delete)
        return len(delete.keys)


@pytest.fixture
def requests():
    options = {"adapter": Told}
    database = {"ENGINE": "waybill.rest_backend", "NAME": "https://library.example/v1", "OPTIONS": options}
    connections.settings[ALIAS] = connections.configure_settings({"default": {}, ALIAS: database})[ALIAS]
    yield connections[ALIAS].adapter.requests
    del connections[ALIAS], connections.settings[ALIAS]


def authors():
    return Author.objects.using(ALIAS)


def test_a_slice_in_order_ends_with_the_key(requests):
    list(authors().filter(name="Ada").order_by("-born")[10:15])
    where, sort = Compare("name", "exact", "Ada"), (Sort("born", falling=True), Sort("id"))
    assert requests == [Read(AUTHORS, ALL, where, sort, offset=10, limit=5)]


def test_get_asks_for_as_many_rows_as_its_error_tells_of(requests):
    authors().get(pk=1)
    assert requests == [Read(AUTHORS, ALL, Compare("id", "exact", 1), limit=21)]


def test_or_and_exclude_are_a_tree(requests):
    list(authors().filter(Q(name="Ada") | Q(name__icontains="b")).exclude(pk__in=[3]))
    assert requests[0].where.parts == (
        AnyOf((Compare("name", "exact", "Ada"), Compare("name", "icontains", "b"))),
        Not(Compare("id", "in", (3,))),
    )


def test_exists_asks_for_one_key_and_count_for_a_number(requests):
    assert (authors().exists(), authors().count()) == (True, 1)
    assert requests == [Read(AUTHORS, ("id",), limit=1), Count(AUTHORS, EVERYTHING)]


def test_saving_updates_what_was_read_in_its_version_and_inserts_what_was_not(requests):
    ada = authors().get(pk=1)
    ada.save()
    authors().create(name="Bea")
    ada.delete()
    values = {"name": "Ada", "born": None}
    assert requests[1] == Update(AUTHORS, 1, values, version="v1")
    assert requests[2] == Insert(AUTHORS, ({"name": "Bea", "born": None},))
    assert requests[-1] == Delete(AUTHORS, (1,), version="v1")


def test_the_rows_of_related_tables_come_by_one_list_of_keys(requests):
    list(Book.objects.using(ALIAS).filter(author__name="Ada").values_list("pk"))
    assert requests[0] == Read(AUTHORS, ("id",), Compare("name", "exact", "Ada"), limit=201)
    assert requests[1].where == Compare("author_id", "in", (1,))


def test_a_count_is_refused_where_its_rows_would_be(requests):
    across = authors().extra(tables=["library_book"])
    for asked in (lambda: list(across), across.count):
        with pytest.raises(NotSupportedError, match="extra"):
            asked()
    assert requests == []

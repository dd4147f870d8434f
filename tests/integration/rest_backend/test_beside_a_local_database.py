"""Models of a local PostgreSQL and of a service refer to each other: queries cross, in both directions."""

import pytest
from django.db import NotSupportedError, connections
from django.db.models import ProtectedError, Q
from django.test import override_settings
from django.test.utils import CaptureQueriesContext
from django.utils.functional import SimpleLazyObject

from tests.support import postgres
from tests.support.library import ALIAS
from tests.support.library.models import Author, Book, Copy, Tag

ON_THE_SERVICE = ["library.book", "library.book_tags", "library.tag"]
CONSTRAINTS = "SELECT conname FROM pg_constraint WHERE contype = 'f' AND conrelid = 'library_copy'::regclass"


@pytest.fixture(scope="module")
def server():
    with postgres.postgres_server() as running:
        yield running


@pytest.fixture
def default(server):
    """Make a local database beside services the default one, with the tables of the models that live there."""
    before = connections.settings["default"]
    given = {"ENGINE": "waybill.rest_backend.postgresql", "NAME": "postgres", "USER": "postgres", "HOST": "127.0.0.1"}
    connections["default"].close()
    del connections["default"]
    connections.settings["default"] = connections.configure_settings({"default": {**given, "PORT": server.port}})[
        "default"
    ]
    yield connections["default"]
    connections["default"].close()
    del connections["default"]
    connections.settings["default"] = before


@pytest.fixture
def shelf(default, library, connect, service_url):
    """Books on a service, by an author in the local database, where the copies are too."""
    twin = Author.objects.using(ALIAS).create(name="Ada")  # for the foreign keys that this service has itself
    with override_settings(DATABASE_ROUTERS=["waybill.rest_backend.router.ServiceRouter"]):
        connect(service_url, models=ON_THE_SERVICE)
        with default.schema_editor() as editor:
            editor.create_model(Author)
            editor.create_model(Copy)
        try:
            ada = Author.objects.create(pk=twin.pk, name="Ada")
            engines, notes = (Book.objects.create(title=title, author=ada) for title in ("Engines", "Notes"))
            for book, shelf in ((engines, "A"), (engines, "B"), (notes, "A")):
                Copy.objects.create(book=book, shelf=shelf)
            yield ada, engines, notes
        finally:
            with default.schema_editor() as editor:
                editor.delete_model(Copy)
                editor.delete_model(Author)


def calls(do):
    """What is done, and the calls that it makes of the service."""
    with CaptureQueriesContext(connections[ALIAS]) as caught:
        found = do()
    return found, len(caught.captured_queries)


def test_a_row_of_a_service_leads_to_a_local_one_and_back(shelf):
    ada, engines, notes = shelf
    assert Book.objects.get(pk=engines.pk).author == ada
    assert set(ada.book_set.all()) == {engines, notes}
    assert Copy.objects.filter(book=notes).get().book == notes
    assert engines.copy_set.count() == 2


def test_a_local_row_comes_with_that_of_a_service_in_one_call(shelf):
    copies, asked = calls(lambda: list(Copy.objects.select_related("book__author").order_by("shelf", "pk")))
    assert asked == 1
    told, asked = calls(lambda: sorted((copy.shelf, copy.book.title, copy.book.author.name) for copy in copies))
    assert told == [("A", "Engines", "Ada"), ("A", "Notes", "Ada"), ("B", "Engines", "Ada")]
    assert asked == 0


def test_local_rows_are_filtered_counted_and_read_across_a_service(shelf):
    of_engines = Copy.objects.filter(book__title__istartswith="eng")
    assert of_engines.count() == 2
    assert of_engines.filter(shelf="B").exists()
    assert not of_engines.filter(shelf="C").exists()
    assert set(of_engines.values_list("shelf", "book__title")) == {("A", "Engines"), ("B", "Engines")}
    assert Copy.objects.filter(Q(shelf="B") | Q(book__title="Notes")).count() == 2
    assert Copy.objects.exclude(book__author__name="Ada").count() == 0
    assert of_engines[:1].count() == 1


def test_what_stays_in_one_place_stays_sql(shelf):
    found, asked = calls(lambda: Copy.objects.filter(shelf="A").order_by("book_id").values_list("book_id", flat=True))
    assert len(found) == 2
    assert asked == 0
    assert [copy.shelf for copy in Copy.objects.raw("SELECT * FROM library_copy WHERE shelf = 'B'")] == ["B"]


def test_deleting_follows_relations_wherever_they_lead(shelf):
    ada, engines, notes = shelf
    with pytest.raises(ProtectedError):
        engines.delete()
    engines.copy_set.all().delete()
    engines.delete()
    assert list(Book.objects.all()) == [notes]
    notes.copy_set.all().delete()
    ada.delete()
    assert not Book.objects.exists()


def test_a_local_update_across_a_service_raises_before_anything_is_done(shelf):
    with pytest.raises(NotSupportedError, match="a filter across Book, of a service"):
        Copy.objects.filter(book__title="Notes").update(shelf="Z")
    assert not Copy.objects.filter(shelf="Z").exists()


def test_a_table_has_no_constraint_to_what_is_not_in_its_database(shelf, server):
    assert server.execute(CONSTRAINTS) == []


def test_a_lazy_object_stands_for_a_local_row(shelf):
    ada, engines, notes = shelf
    assert set(Book.objects.filter(author=SimpleLazyObject(lambda: ada))) == {engines, notes}


def test_the_values_of_a_check_are_compared_by_the_local_database(shelf):
    assert Q(pages__gte=1).check({"pages": 1}, using=ALIAS)
    assert not Q(pages__gte=1).check({"pages": 0}, using=ALIAS)


def test_a_model_that_no_service_has_is_local_though_a_row_of_a_service_leads_to_it(shelf):
    _, engines, _ = shelf
    assert engines.tags.create(name="mathematics") == Tag.objects.get(name="mathematics")
    assert Copy.objects.db_manager(hints={"instance": engines}).all().db == "default"

"""Models, managers and querysets on a real service: what Django does with rows of SQL it does with these."""

import threading
from datetime import UTC, date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, NotSupportedError, connections, transaction
from django.db.models import Count, Exists, F, Max, Min, OuterRef, ProtectedError, Q
from django.db.models.functions import TruncYear
from django.db.models.lookups import LessThan
from django.db.models.signals import pre_save
from django.forms import modelform_factory
from django.test import override_settings
from django.test.utils import CaptureQueriesContext

from tests.support.library import ALIAS
from tests.support.library.models import Author, Book, Copy, Tag
from waybill.rest_backend.errors import StaleVersion, TooManyRows

pytestmark = pytest.mark.usefixtures("library")


@pytest.fixture
def shelf(library):
    """Two authors with three books."""
    ada = Author.objects.using(ALIAS).create(name="Ada", born=date(1815, 12, 10))
    bea = Author.objects.using(ALIAS).create(name="Bea")
    for title, author, pages in (("Engines", ada, 300), ("Notes", ada, 20), ("Weather", bea, 150)):
        Book.objects.using(ALIAS).create(title=title, author=author, pages=pages, price=Decimal("9.90"))
    return ada, bea


def books(**given):
    return Book.objects.using(ALIAS).filter(**given)


def titles(rows):
    return sorted(book.title for book in rows)


def calls(do):
    with CaptureQueriesContext(connections[ALIAS]) as caught:
        do()
    return [query["sql"] for query in caught.captured_queries]


def test_a_row_comes_back_as_it_was_saved(shelf):
    moment = datetime(2026, 1, 31, 12, 0, 0, 123456, tzinfo=UTC)
    saved = Book.objects.using(ALIAS).create(
        title="Ä, “b” & c=d", author=shelf[0], price=Decimal("1.05"), published_at=moment
    )
    found = books(pk=saved.pk).get()
    assert (found.title, found.price, found.published_at, found.notes) == (saved.title, saved.price, moment, None)


@pytest.mark.parametrize(
    ("lookup", "found"),
    [
        ({"title__exact": "Notes"}, ["Notes"]),
        ({"title__iexact": "nOTES"}, ["Notes"]),
        ({"title__in": ["Notes", "Weather", "Nothing"]}, ["Notes", "Weather"]),
        ({"pages__lt": 150}, ["Notes"]),
        ({"pages__lte": 150}, ["Notes", "Weather"]),
        ({"pages__gt": 150}, ["Engines"]),
        ({"pages__gte": 150}, ["Engines", "Weather"]),
        ({"pages__range": (20, 150)}, ["Notes", "Weather"]),
        ({"notes__isnull": True}, ["Engines", "Notes", "Weather"]),
        ({"title__contains": "ote"}, ["Notes"]),
        ({"title__icontains": "E"}, ["Engines", "Notes", "Weather"]),
        ({"title__startswith": "We"}, ["Weather"]),
        ({"title__istartswith": "wE"}, ["Weather"]),
        ({"price": Decimal("9.90"), "in_print": True}, ["Engines", "Notes", "Weather"]),
        ({"author__name": "Ada"}, ["Engines", "Notes"]),
        ({"author__born__isnull": True}, ["Weather"]),
    ],
)
@pytest.mark.usefixtures("shelf")
def test_every_lookup_of_the_contract_finds_what_it_means(lookup, found):
    assert titles(books(**lookup)) == found


@pytest.mark.usefixtures("shelf")
def test_conditions_combine_by_and_or_and_not():
    rows = Book.objects.using(ALIAS)
    assert titles(rows.filter(Q(title="Notes") | Q(author__name="Bea"))) == ["Notes", "Weather"]
    assert titles(rows.exclude(Q(title="Notes") | Q(pages__gt=200))) == ["Weather"]
    assert titles(rows.exclude(notes="x")) == ["Engines", "Notes", "Weather"]
    assert titles(rows.exclude(author__born__gt=date(1800, 1, 1))) == ["Weather"]
    assert list(Author.objects.using(ALIAS).exclude(book__title="Notes").values_list("name", flat=True)) == ["Bea"]


def test_the_key_of_a_related_row_is_compared_as_a_text_too(shelf):
    for lookup in ("iexact", "contains", "icontains", "startswith", "istartswith"):
        assert titles(books(**{f"author__id__{lookup}": f"{shelf[0].pk}"}, title="Notes")) == ["Notes"]
        assert titles(books(**{f"author__id__{lookup}": f"{shelf[0].pk}x"})) == []


def test_conditions_on_one_related_row_hold_of_the_same_row(shelf):
    red, blue = (Tag.objects.using(ALIAS).create(name=name) for name in ("red", "blue"))
    both, one = books(title="Notes").get(), books(title="Weather").get()
    both.tags.set([red, blue])
    one.tags.set([Tag.objects.using(ALIAS).create(name="red-blue")])
    rows, begins, ends = Book.objects.using(ALIAS).distinct(), "tags__name__startswith", "tags__name__contains"
    assert titles(rows.filter(**{begins: "red", ends: "blue"})) == ["Weather"]
    mixed = Q(title="Engines") | Q(**{begins: "red"}), Q(title="Engines") | Q(**{ends: "blue"})
    assert titles(rows.filter(*mixed)) == ["Engines", "Weather"]
    assert titles(Book.objects.using(ALIAS).filter(Exists(rows.filter(*mixed, pk=OuterRef("pk"))))) == [
        "Engines",
        "Weather",
    ]
    authors = Author.objects.using(ALIAS).distinct()
    assert [author.name for author in authors.filter(book__tags__name="red", book__title="Weather")] == []
    assert [one.name for one in authors.filter(**{f"book__{begins}": "red", f"book__{ends}": "blue"})] == ["Bea"]


@pytest.mark.usefixtures("shelf")
def test_reading_is_one_call_each():
    rows = Book.objects.using(ALIAS)
    assert [book.title for book in rows.order_by("-pages")[1:3]] == ["Weather", "Notes"]
    assert (rows.count(), rows.filter(pages__gt=1000).exists(), rows.none().count()) == (3, False, 0)
    assert list(rows.order_by("title").values_list("title", "pages")[:1]) == [("Engines", 300)]
    assert rows.only("title").first().title == "Engines"
    assert len(rows.in_bulk([row.pk for row in rows.all()])) == 3
    assert len(calls(lambda: rows.filter(title="Notes").exists())) == 1
    assert calls(lambda: list(rows.none()) + list(rows.filter(pk__in=[]))) == []


def test_relations_are_one_more_call_each(shelf):
    assert len(calls(lambda: [book.author.name for book in books().select_related("author")])) == 2
    assert (
        len(
            calls(
                lambda: [b for a in Author.objects.using(ALIAS).prefetch_related("book_set") for b in a.book_set.all()]
            )
        )
        == 2
    )
    assert titles(shelf[0].book_set.all()) == ["Engines", "Notes"]
    assert list(books().order_by("title").values_list("author__name", flat=True)) == ["Ada", "Ada", "Bea"]


def test_many_to_many_rows_are_added_read_and_removed(shelf):
    book = books(title="Notes").get()
    red, blue = (Tag.objects.using(ALIAS).create(name=name) for name in ("red", "blue"))
    book.tags.set([red, blue])
    assert sorted(tag.name for tag in book.tags.all()) == ["blue", "red"]
    assert [[tag.name for tag in row.tags.all()] for row in books().order_by("title").prefetch_related("tags")] == [
        [],
        ["red", "blue"],
        [],
    ]
    assert titles(books(tags__name="red")) == ["Notes"]
    book.tags.remove(red)
    assert [tag.name for tag in book.tags.all()] == ["blue"]


def test_a_queryset_repeats_a_row_for_each_match_as_sql_does(shelf):
    rows = Author.objects.using(ALIAS).filter(book__pages__gt=10).order_by("name")
    assert [author.name for author in rows] == ["Ada", "Ada", "Bea"]
    assert rows.count() == 3
    assert [author.name for author in rows.distinct()] == ["Ada", "Bea"]


def test_saving_again_updates_and_a_new_key_inserts(shelf):
    book = books(title="Notes").get()
    book.pages = 21
    assert [sql.partition(" ")[0] for sql in calls(book.save)] == ["PATCH"]
    copy = Copy(book=book)
    copy.save(using=ALIAS)
    assert Copy.objects.using(ALIAS).get().pk == copy.pk
    assert books(title="Notes").update(pages=22) == 1
    assert books(title="Notes").get().pages == 22


def test_bulk_create_is_one_call_and_gives_keys(shelf):
    new = [Book(title=f"Volume {number}", author=shelf[0]) for number in range(3)]
    assert len(calls(lambda: Book.objects.using(ALIAS).bulk_create(new))) == 1
    assert all(book.pk for book in new)


def test_deleting_follows_django_and_the_services_own_rules(shelf):
    book = books(title="Notes").get()
    Copy(book=book).save(using=ALIAS)
    with pytest.raises(ProtectedError):
        book.delete()
    with pytest.raises(IntegrityError):
        books(pk=book.pk)._raw_delete(ALIAS)
    Copy.objects.using(ALIAS).all().delete()
    assert book.delete()[0] == 1


def test_a_change_by_somebody_else_is_not_overwritten(shelf):
    mine = books(title="Notes").get()
    other = threading.Thread(target=lambda: books(title="Notes").update(pages=99))
    other.start()
    other.join()
    mine.notes = "mine"
    with pytest.raises(StaleVersion):
        mine.save()
    mine.refresh_from_db()
    mine.notes = "mine"
    mine.save()
    assert (mine.pages, books(title="Notes").get().notes) == (99, "mine")


def test_bulk_update_writes_each_row_in_the_version_that_was_read(shelf):
    first, second = books().order_by("pk")[:2]
    first.pages, first.notes, second.pages, second.notes = 30, None, 40, "thin"
    with CaptureQueriesContext(connections[ALIAS]) as caught:
        assert Book.objects.using(ALIAS).bulk_update([first, second], ["pages", "notes"]) == 2
    assert [query["sql"] for query in caught] == [f"PATCH /library_book/{book.pk}" for book in (first, second)]
    assert list(books().order_by("pk").values_list("pages", "notes")[:2]) == [(30, None), (40, "thin")]
    other = threading.Thread(target=lambda: books(pk=second.pk).update(pages=99))
    other.start()
    other.join()
    first.pages, second.pages = 31, 41
    with pytest.raises(StaleVersion):
        Book.objects.using(ALIAS).bulk_update([first, second], ["pages"])
    assert list(books().order_by("pk").values_list("pages", flat=True)[:2]) == [31, 99]


def test_bulk_update_with_a_calculated_value_is_refused_before_any_call(shelf):
    first, second = books().order_by("pk")[:2]
    first.pages, second.pages = 30, F("pages") + 1
    with CaptureQueriesContext(connections[ALIAS]) as caught, pytest.raises(NotSupportedError, match="pages"):
        Book.objects.using(ALIAS).bulk_update([first, second], ["pages"])
    assert list(caught) == []


def test_a_row_that_changes_between_search_and_update_is_written_only_if_it_still_matches(shelf):
    def meanwhile(**values):
        """Change the row in another thread before the first PATCH."""
        changes = [values]

        def wrapper(execute, sql, *rest):
            if sql.startswith("PATCH") and changes:
                other = threading.Thread(target=books(title="Notes").update, kwargs=changes.pop())
                other.start()
                other.join()
            return execute(sql, *rest)

        return connections[ALIAS].execute_wrapper(wrapper)

    with meanwhile(notes="theirs"):
        assert books(title="Notes", pages=20).update(pages=21) == 1
    with meanwhile(pages=30):
        assert books(title="Notes", pages=21).update(pages=22) == 0
    notes = books(title="Notes").get()
    assert (notes.pages, notes.notes) == (30, "theirs")


@override_settings(DATABASE_ROUTERS=["waybill.rest_backend.router.ServiceRouter"])
def test_a_unique_value_that_is_taken_is_refused_by_forms_and_by_the_service(connect, service_url, shelf):
    connect(service_url, models=["library"])
    with pytest.raises(IntegrityError) as raised:
        Book.objects.using(ALIAS).create(title="Notes", author=shelf[0])
    assert raised.value.message_dict == {"title": ["Book with this Title already exists."]}
    form = modelform_factory(Book, fields=["title", "author"])({"title": "Notes", "author": shelf[0].pk})
    assert form.errors == {"title": ["Book with this Title already exists."]}


def test_get_or_create_finds_the_row_that_somebody_else_made_meanwhile(shelf):
    theirs = []

    def meanwhile(sender, **_):
        pre_save.disconnect(meanwhile, sender=Book)
        other = threading.Thread(target=lambda: theirs.append(sender.objects.using(ALIAS).create(**new)))
        other.start()
        other.join()

    new = {"title": "Volume 1", "author": shelf[0]}
    pre_save.connect(meanwhile, sender=Book)
    book, created = Book.objects.using(ALIAS).get_or_create(title="Volume 1", defaults=new)
    assert (book, created) == (theirs[0], False)


def test_a_service_validates_what_it_is_sent(shelf):
    with pytest.raises(ValidationError) as raised:
        Book.objects.using(ALIAS).create(title="Thin", author=shelf[0], pages=0)
    assert raised.value.message_dict.keys() == {"pages"}


@pytest.fixture
def published(shelf):
    """Three books of two years and three months, one of them on New Year's Eve, or New Year's Day in Berlin."""
    moments = (datetime(2025, 12, 31, 23, 30, tzinfo=UTC), datetime(2025, 3, 5, 8, tzinfo=UTC))
    for title, moment in zip(("Engines", "Notes"), moments, strict=True):
        books(title=title).update(published_at=moment)
    return moments


def test_dates_are_computed_of_the_values_in_the_time_zone_that_is_asked_for(published):
    rows, berlin = Book.objects.using(ALIAS), ZoneInfo("Europe/Berlin")
    assert list(rows.datetimes("published_at", "year", tzinfo=UTC)) == [datetime(2025, 1, 1, tzinfo=UTC)]
    years = [datetime(2026, 1, 1, tzinfo=berlin), datetime(2025, 1, 1, tzinfo=berlin)]
    assert list(rows.datetimes("published_at", "year", "DESC", tzinfo=berlin)) == years
    authors = Author.objects.using(ALIAS)
    assert [list(authors.dates("born", kind)) for kind in ("year", "month", "week", "day")] == [
        [date(1815, 1, 1)],
        [date(1815, 12, 1)],
        [date(1815, 12, 4)],
        [date(1815, 12, 10)],
    ]
    assert list(rows.datetimes("published_at", "year", "DESC", tzinfo=berlin)[:1]) == years[:1]
    assert list(authors.none().dates("born", "year")) == list(authors.filter(name="Bea").dates("born", "year")) == []


def test_dates_of_more_rows_than_the_limit_are_refused(connect, service_url, published):
    connect(service_url, max_rows=1)
    with pytest.raises(TooManyRows):
        list(Book.objects.using(ALIAS).datetimes("published_at", "year"))


def test_the_least_and_the_greatest_value_are_a_call_each(published):
    rows = Book.objects.using(ALIAS)
    assert rows.aggregate(first=Min("published_at"), last=Max("published_at")) == {
        "first": published[1],
        "last": published[0],
    }
    assert rows.filter(title="Weather").aggregate(Max("published_at")) == {"published_at__max": None}
    assert rows.none().aggregate(Max("pages")) == {"pages__max": None}
    assert len(calls(lambda: rows.filter(pages__gt=20).aggregate(Min("pages"), Max("pages")))) == 2


@pytest.mark.parametrize(
    ("rows", "named"),
    [
        (lambda rows: rows.annotate(n=Count("tags")), r"annotate\(n\)"),
        (lambda rows: rows.annotate(n=Min("pages")), r"annotate\(n\)"),
        (lambda rows: rows.values("author").annotate(n=Min("pages")), r"annotate\(n\)"),
        (lambda rows: rows.values("author").annotate(n=TruncYear("published_at")).distinct(), r"annotate\(n\)"),
        (lambda rows: rows.filter(pages__gt=F("id")), r"pages__gt"),
        (lambda rows: rows.filter(published_at__year__gt=2000, title__regex="x"), r"title__regex|year"),
        (lambda rows: rows.filter(title__endswith="x"), r"title__endswith"),
        (lambda rows: rows.select_for_update(), r"select_for_update"),
        (lambda rows: [rows.explain()], r"explaining"),
        (lambda rows: rows.extra(where=["1=1"]), r"ExtraWhere|extra"),
        (lambda rows: rows.order_by("?"), r"order_by\('\?'\)"),
        (lambda rows: rows.order_by("published_at__year"), r"ExtractYear"),
        (lambda rows: rows.order_by(LessThan(F("pages"), 5)), r"LessThan"),
        (lambda rows: rows.union(rows), r"union"),
        (lambda rows: rows.raw("SELECT 1"), r"raw SQL"),
        (lambda rows: rows.order_by("author__name"), r"library_author.name"),
        (lambda rows: rows.distinct("title"), r"distinct\(fields\)"),
    ],
)
def test_what_no_service_is_asked_for_raises_before_any_call(rows, named):
    def read():
        with pytest.raises(NotSupportedError, match=named):
            list(rows(Book.objects.using(ALIAS)))

    assert calls(read) == []


def test_isnull_takes_a_truth_value_as_with_any_backend():
    with pytest.raises(ValueError, match="must be True or False"):
        list(books(notes__isnull="yes"))


def test_updates_by_expressions_raise_before_any_call(shelf):
    def write():
        with pytest.raises(NotSupportedError, match="pages"):
            books().update(pages=F("pages") + 1)

    assert calls(write) == []


def test_a_service_that_takes_paths_orders_by_related_rows(connect, service_url, shelf):
    connect(service_url, paths=True)
    rows = books().order_by("-author__name", "title")
    assert [book.title for book in rows] == ["Weather", "Engines", "Notes"]
    connect(service_url, paths=True, page_rows=1)
    assert [book.title for book in books().order_by("-author__name", "title")] == ["Weather", "Engines", "Notes"]


def test_a_queryset_that_was_read_keeps_no_join_of_its_sort(connect, service_url, shelf):
    connect(service_url, paths=True)
    rows = books().order_by("author__name")
    assert list(rows)
    assert rows.query.alias_refcount["library_author"] == 0


def test_pages_follow_one_another_over_nulls(connect, service_url, shelf):
    connect(service_url, page_rows=1)
    rows = Author.objects.using(ALIAS)
    assert [author.name for author in rows.order_by("born")] == ["Ada", "Bea"]
    assert [author.name for author in rows.order_by("-born")] == ["Bea", "Ada"]
    assert len(calls(lambda: list(rows.order_by("born")))) == 2


def test_a_filter_across_services_is_bounded(connect, service_url, shelf):
    connect(service_url, max_ids=1)
    with pytest.raises(NotSupportedError, match="more than 1 rows of Author"):
        list(books(author__name__isnull=False))


def test_more_keys_than_a_call_may_name_are_asked_for_in_several(shelf):
    keys = [book.pk for book in books()] + list(range(10_000, 10_300))
    assert len(calls(lambda: books(pk__in=keys).count())) >= 1
    assert titles(books(pk__in=keys)) == ["Engines", "Notes", "Weather"]


def test_atomic_is_allowed_and_undoes_nothing(shelf):
    with transaction.atomic(using=ALIAS):
        books(title="Notes").update(pages=7)
        transaction.set_rollback(True, using=ALIAS)
    assert books(title="Notes").get().pages == 7

"""Views and the admin, written for no service, show what a service said of a write, and that one is away."""

import re
import threading
from datetime import UTC, datetime

import pytest
from asgiref.sync import async_to_sync
from django.conf import settings
from django.db import connections
from django.db.models.signals import pre_save
from django.test import AsyncClient, override_settings
from django.test.utils import CaptureQueriesContext

from tests.support.library import ALIAS
from tests.support.library.models import Author, Book, Copy
from tests.support.misbehaving import Reply, misbehaving
from waybill.rest_backend.errors import StaleVersion

pytestmark = pytest.mark.usefixtures("pages")


@pytest.fixture
def meanwhile():
    """Let somebody else do something when a row was loaded, validated, and is about to be saved."""
    arranged = []

    def act(sender, **_):
        if arranged and arranged[0][0] is sender:
            other = threading.Thread(target=arranged.pop()[1])
            other.start()
            other.join()

    pre_save.connect(act)
    yield lambda model, do: arranged.append((model, do))
    pre_save.disconnect(act)


def filled_in(book, **other):
    return {"title": book.title, "author": book.author_id, "pages": book.pages, **other}


def inlines(*copies):
    rows = [{"id": copy.pk, "book": copy.book_id, "shelf": copy.shelf} for copy in copies]
    named = {f"copy_set-{number}-{name}": value for number, row in enumerate(rows) for name, value in row.items()}
    return {"copy_set-TOTAL_FORMS": len(rows), "copy_set-INITIAL_FORMS": len(rows), **named}


def shown(response):
    assert response.status_code == 200, response.content
    return re.sub(r"&#x27;", "'", response.content.decode())


@pytest.mark.parametrize("url", ["/books/{}", "/books/{}/function", "/admin/library/book/{}/change/"])
def test_a_form_whose_row_was_changed_meanwhile_is_shown_again_with_the_change(books, meanwhile, client, url):
    book = books[0]
    meanwhile(Book, lambda: Book.objects.filter(pk=book.pk).update(pages=99))
    page = shown(client.post(url.format(book.pk), filled_in(book, pages=30, **inlines())))
    assert "Somebody else changed this meanwhile." in page
    assert "It is 99 now." in page
    assert 'value="30"' in page
    assert Book.objects.get(pk=book.pk).pages == 99
    assert client.post(url.format(book.pk), filled_in(book, pages=30, **inlines())).status_code == 302
    assert Book.objects.get(pk=book.pk).pages == 30


def test_a_view_in_an_event_loop_shows_it_too(books, meanwhile):
    meanwhile(Book, lambda: Book.objects.filter(pk=books[0].pk).update(pages=99))
    response = async_to_sync(AsyncClient().post)(f"/books/{books[0].pk}", filled_in(books[0], pages=30))
    assert "It is 99 now." in shown(response)


def test_a_view_in_an_event_loop_passes_its_requests_id_on(connect):
    with misbehaving() as service:
        connect(service.url, models=["library"])
        async_to_sync(AsyncClient().get)("/books", headers={"X-Request-ID": "r1"})
        assert service.asked[0].headers["X-Request-ID"] == "r1"


@pytest.mark.parametrize("url", ["/books/new", "/admin/library/book/add/"])
def test_what_the_service_does_not_accept_stands_at_the_field_and_is_asked_once(books, meanwhile, client, url):
    author = books[0].author
    meanwhile(Book, lambda: Author.objects.filter(pk=author.pk)._raw_delete(ALIAS))
    Book.objects.all().delete()
    new = {"title": "New", "author": author.pk, "pages": 3, **inlines()}
    with CaptureQueriesContext(connections[ALIAS]) as caught:
        page = shown(client.post(url, new))
    assert f"author instance with id {author.pk} is not a valid choice" in page
    assert [query["sql"] for query in caught.captured_queries if query["sql"].startswith("POST")] == [
        "POST /library_book"
    ]


@pytest.mark.parametrize("url", ["/books/new", "/admin/library/book/add/"])
def test_a_value_that_somebody_else_took_meanwhile_stands_at_the_field(books, meanwhile, client, url):
    author = books[0].author
    meanwhile(Book, lambda: Book.objects.create(title="New", author=author))
    page = shown(client.post(url, {"title": "New", "author": author.pk, "pages": 3, **inlines()}))
    assert page.count("Book with this Title already exists.") == 1
    assert Book.objects.get(title="New").pages == 1


@pytest.mark.usefixtures("books")
def test_a_form_of_no_model_shows_what_the_service_said_of_the_row_that_its_view_wrote(client):
    page = shown(client.post("/books/pages", {"pages": 0}))
    assert "Ensure this value is greater than or equal to 1." in page


def test_the_admin_names_the_inline_row_that_was_changed_meanwhile(books, meanwhile, client):
    copies = [Copy.objects.create(book=books[0], shelf=shelf) for shelf in ("A1", "A2")]
    meanwhile(Copy, lambda: Copy.objects.filter(pk=copies[1].pk).update(shelf="B2"))
    given = filled_in(books[0]) | inlines(*copies) | {"copy_set-1-shelf": "C3"}
    page = shown(client.post(f"/admin/library/book/{books[0].pk}/change/", given))
    assert "It is B2 now." in page.partition("copy_set-1")[2]


def test_the_admins_list_names_the_row_that_was_changed_meanwhile(books, meanwhile, client):
    meanwhile(Book, lambda: Book.objects.filter(pk=books[1].pk).update(pages=99))
    rows = {f"form-{number}-id": book.pk for number, book in enumerate(books)}
    pages = {"form-0-pages": 20, "form-1-pages": 30}
    management = {"form-TOTAL_FORMS": 2, "form-INITIAL_FORMS": 2, "_save": "Save"}
    response = client.post("/admin/library/book/?o=2.-1", {**management, **rows, **pages})
    assert "It is 99 now." in shown(response)


def test_the_admin_leads_by_dates_to_the_rows_of_a_day(books, client):
    for book, day in zip(books, (5, 6), strict=True):
        Book.objects.filter(pk=book.pk).update(published_at=datetime(2025, 3, day, 12, tzinfo=UTC))
    page = shown(client.get("/admin/library/book/"))
    assert "published_at__day=5" in page
    assert "March 6" in page
    day = "published_at__year=2025&published_at__month=3&published_at__day=6"
    page = shown(client.get(f"/admin/library/book/?{day}"))
    assert ("Engines" in page, "Notes" in page) == (True, False)


def test_a_refusal_that_no_form_asked_for_is_raised(books, meanwhile, client):
    meanwhile(Book, lambda: Book.objects.filter(pk=books[0].pk).update(pages=99))
    with pytest.raises(StaleVersion):
        client.post(f"/books/{books[0].pk}/reprinted")


@pytest.mark.parametrize("url", ["/books", "/admin/library/book/"])
def test_a_service_that_is_away_is_a_page_that_says_so(connect, client, url):
    connect("http://127.0.0.1:9/v1", models=["library"], retries=0)
    response = client.get(url)
    assert (response.status_code, response.headers["Retry-After"]) == (503, "5")
    assert "no-store" in response.headers["Cache-Control"]
    assert b"A part of this site gives no answer" in response.content


def test_a_project_has_its_own_page_with_the_time_that_the_service_asks_for(connect, client):
    loaders = [("django.template.loaders.locmem.Loader", {"503.html": "Back in {{ retry_after }} s"})]
    own = {"OPTIONS": {"loaders": loaders, "builtins": settings.TEMPLATES[0]["OPTIONS"]["builtins"]}}
    with misbehaving() as service, override_settings(TEMPLATES=[{**settings.TEMPLATES[0], **own, "APP_DIRS": False}]):
        connect(service.url, models=["library"], retries=0)
        service.answers(Reply.of({"status": 503, "detail": "full"}, 503, retry_after="7"))
        response = client.get("/books")
    assert (response.headers["Retry-After"], response.content) == ("7", b"Back in 7 s")

"""What somebody else changed while a form was shown becomes an error of the form, in views that know of no service."""

import re

import pytest
from asgiref.sync import async_to_sync
from django.core.exceptions import ImproperlyConfigured
from django.test import AsyncClient, Client, override_settings

from tests.support.library.models import Book, Copy
from waybill.rest_backend.middleware.form_versions import FIELD

pytestmark = pytest.mark.usefixtures("pages")
INPUT = re.compile(r"<(?:input|option)[^>]*>")
CHANGED = "Somebody else changed this meanwhile."
ADMIN = "/admin/library/book/{}/change/"
VIEWS = ["/books/{}", "/books/{}/function", ADMIN]


def sent(response):
    """What a browser sends back of a page's form."""
    assert response.status_code == 200, response.content
    found = {}
    for tag in INPUT.findall(response.content.decode()):
        given = dict(re.findall(r'(\w+)="([^"]*)"', tag))
        if "name" in given and given.get("type") != "submit":
            name = given["name"]
            found[name] = given.get("value", "")
        elif tag.startswith("<option") and " selected" in tag:
            found["author"] = given["value"]
    return found


def pages_of(book):
    return Book.objects.get(pk=book.pk).pages


@pytest.mark.parametrize("url", VIEWS)
def test_of_two_clerks_with_one_row_the_second_is_told_what_the_first_has_changed(books, url):
    first, second = Client(), Client()
    where = url.format(books[0].pk)
    of_first, of_second = sent(first.get(where)), sent(second.get(where))
    assert first.post(where, of_first | {"pages": 30}).status_code == 302
    refused = second.post(where, of_second | {"pages": 40})
    assert CHANGED in refused.content.decode()
    assert "It is 30 now." in refused.content.decode()
    assert pages_of(books[0]) == 30
    assert second.post(where, sent(refused)).status_code == 302
    assert pages_of(books[0]) == 40


@pytest.mark.parametrize("url", VIEWS)
def test_a_form_that_is_not_valid_keeps_the_version_that_it_was_first_shown_with(books, client, url):
    where = url.format(books[0].pk)
    form = sent(client.get(where))
    Book.objects.filter(pk=books[0].pk).update(pages=30)
    again = sent(client.post(where, form | {"title": ""}))
    assert CHANGED in client.post(where, again | {"title": "Notes", "pages": 40}).content.decode()
    assert pages_of(books[0]) == 30


def test_a_page_that_shows_its_form_again_after_it_was_saved_has_the_new_version(books, client):
    where = f"/books/{books[0].pk}/one-page"
    form = sent(client.get(where))
    for pages in (30, 40):
        form = sent(client.post(where, form | {"pages": pages}))
        assert pages_of(books[0]) == pages
    Book.objects.filter(pk=books[0].pk).update(pages=50)
    assert CHANGED in client.post(where, form).content.decode()


def test_a_view_in_an_event_loop_is_told_too(books):
    where = f"/books/{books[0].pk}"
    form = sent(async_to_sync(AsyncClient().get)(where))
    Book.objects.filter(pk=books[0].pk).update(pages=30)
    assert CHANGED in async_to_sync(AsyncClient().post)(where, form | {"pages": 40}).content.decode()


def test_the_admin_names_the_inline_row_that_was_changed(books, client):
    first, second = (Copy.objects.create(book=books[0], shelf=shelf) for shelf in ("A1", "A2"))
    form = sent(client.get(ADMIN.format(books[0].pk)))
    number = next(number for number in (0, 1) if form[f"copy_set-{number}-id"] == str(second.pk))
    Copy.objects.filter(pk=second.pk).update(shelf="B2")
    page = client.post(ADMIN.format(books[0].pk), form | {f"copy_set-{number}-shelf": "C3"}).content.decode()
    assert page.count("It is B2 now.") == 1
    assert [Copy.objects.get(pk=copy.pk).shelf for copy in (first, second)] == ["A1", "B2"]


def test_the_admins_list_names_the_row_that_was_changed(books, client):
    form = sent(client.get("/admin/library/book/"))
    numbers = {form[f"form-{number}-id"]: number for number in (0, 1)}
    one = f"form-{numbers[str(books[1].pk)]}-pages"
    Book.objects.filter(pk=books[1].pk).update(pages=30)
    page = client.post("/admin/library/book/", form | {one: 40, "_save": "Save"}).content.decode()
    assert "It is 30 now." in page
    assert pages_of(books[1]) == 30


def test_a_request_without_versions_writes_in_the_one_that_its_view_reads(books, client):
    Book.objects.filter(pk=books[0].pk).update(pages=30)
    form = {"title": "Notes", "author": books[0].author_id, "pages": 40}
    assert client.post(f"/books/{books[0].pk}", form).status_code == 302
    assert pages_of(books[0]) == 40


def test_versions_that_were_not_signed_here_are_a_bad_request(books, client):
    where = f"/books/{books[0].pk}"
    form = sent(client.get(where))
    assert client.post(where, form | {FIELD: form[FIELD][:-2] + "xx"}).status_code == 400
    assert pages_of(books[0]) == 20


def test_a_project_whose_templates_would_show_no_versions_is_told_so():
    with (
        override_settings(TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates"}]),
        pytest.raises(ImproperlyConfigured, match="builtins"),
    ):
        Client().get("/books")

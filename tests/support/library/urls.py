"""The library as a service: five lines a collection."""

from django.http import HttpRequest
from django.urls import path

from tests.support.library.models import Author, Book, Copy, Tag
from waybill.deciders.outcomes import Code
from waybill.rest.collections import Action, Collection, anybody, serve
from waybill.rest.problem import Problem


def not_deleting(request: HttpRequest, action: Action) -> None:
    if action is Action.DELETE and request.headers.get("Authorization") != "Bearer librarian":
        raise Problem(403, Code.FORBIDDEN, "only librarians delete tags")


urlpatterns = [
    path(
        "v1/",
        serve(
            Collection(Author, "library_author", may=anybody),
            Collection(Book, "library_book", may=anybody, order_by=("author__name",)),
            Collection(Book.tags.through, "library_book_tags", may=anybody),
            Collection(Tag, "library_tag", may=anybody),
            Collection(Tag, "guarded_tag", may=not_deleting),
            Collection(Copy, "library_copy", may=anybody),
        ),
    )
]

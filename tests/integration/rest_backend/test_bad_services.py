"""Whatever a service answers, a view sees one of Django's exceptions, and never a wrong answer."""

import threading
from datetime import UTC, datetime

import pytest
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import IntegrityError, NotSupportedError, OperationalError, ProgrammingError
from django.test import RequestFactory

from tests.support.library import ALIAS
from tests.support.library.models import Author, Book
from tests.support.misbehaving import Reply, misbehaving
from waybill.rest_backend.errors import NotAuthenticated, ServiceUnavailable, StaleVersion, TooManyRows
from waybill.rest_backend.middleware.incoming import callers_token, pass_on

ADA = {"id": 1, "name": "Ada", "born": None, "_version": "v1"}
HTML = {"Content-Type": "text/html"}


def page(*items, next_page=None, **headers):
    return Reply.of({"items": list(items), "next": next_page}, **headers)


def problem(status, code="not_valid", errors=(), **headers):
    return Reply.of({"status": status, "code": code, "detail": "the reason", "errors": list(errors)}, status, **headers)


@pytest.fixture
def service(connect):
    with misbehaving() as told:
        told.connection = connect(told.url, timeout=2, retries=0)
        yield told


@pytest.fixture
def authors(service):
    return Author.objects.using(ALIAS)


@pytest.mark.parametrize(
    ("reply", "error", "said"),
    [
        (problem(500), ServiceUnavailable, "500: the reason"),
        (problem(503, retry_after="7"), ServiceUnavailable, "503"),
        (problem(429), ServiceUnavailable, "429"),
        (Reply(502, b"<h1>Bad gateway</h1>", HTML), ServiceUnavailable, "502: a text/html answer of 20 bytes"),
        (Reply(200, b"<h1>Welcome</h1>", HTML), ServiceUnavailable, "text/html where JSON was expected"),
        (Reply(404, b"<h1>No such page</h1>", HTML), ServiceUnavailable, "text/html where JSON was expected"),
        (Reply(200, b'{"items": [', {"Content-Type": "application/json"}), ServiceUnavailable, "no JSON"),
        (Reply(200, b'{"items": [', {"Content-Type": "application/json"}, cut=9), ServiceUnavailable, "RemoteProtocol"),
        (Reply(302, b"", {"Location": "/login"}), ServiceUnavailable, "302 to /login: redirects are not followed"),
        (Reply.of([ADA]), ServiceUnavailable, "no JSON object"),
        (Reply.of({"results": [ADA]}), ServiceUnavailable, "no list of items"),
        (page({"id": 1, "name": "Ada"}), ServiceUnavailable, "an item of library_author lacks born"),
        (page(ADA, next_page="http://elsewhere.example/v1"), ServiceUnavailable, "another service"),
        (problem(401), NotAuthenticated, "401"),
        (problem(403), PermissionDenied, "403"),
        (problem(404, "not_found"), ProgrammingError, "404"),
        (problem(422), NotSupportedError, "422: the reason"),
    ],
)
def test_an_answer_to_a_read_is_an_error_that_names_it(service, authors, reply, error, said):
    service.answers(reply)
    with pytest.raises(error, match=said):
        list(authors.all())


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (problem(409, "already_exists"), IntegrityError),
        (problem(422), ValidationError),
        (problem(404, "not_found"), ProgrammingError),
        (Reply(200, b"<h1>Welcome</h1>", HTML), OperationalError),
    ],
)
def test_an_answer_to_a_write_is_an_error(service, authors, reply, error):
    service.answers(reply)
    with pytest.raises(error):
        authors.create(name="Ada")


def test_a_write_that_a_service_refuses_names_the_fields(service, authors):
    service.answers(problem(422, errors=[{"field": "name", "detail": "too short"}]))
    with pytest.raises(ValidationError) as raised:
        authors.create(name="A")
    assert raised.value.message_dict == {"name": ["too short"]}


def test_a_service_that_is_down_is_an_operational_error(connect):
    connect("http://127.0.0.1:9/v1", retries=0)
    with pytest.raises(OperationalError, match="ConnectError"):
        Author.objects.using(ALIAS).first()


def test_a_service_that_is_slow_is_an_operational_error(service, connect):
    connect(service.url, timeout=0.2, retries=0)
    never = threading.Event()
    service.answers(Reply(after=never))
    with pytest.raises(OperationalError, match="ReadTimeout"):
        Author.objects.using(ALIAS).first()
    never.set()


def test_a_read_is_tried_again_after_what_may_pass(service, connect):
    connect(service.url, retries=2)
    service.answers(problem(503, retry_after="0"), Reply(502, b"", HTML), page(ADA))
    assert [author.name for author in Author.objects.using(ALIAS).all()] == ["Ada"]


def test_an_insert_is_tried_again_with_the_same_key(service, connect):
    connect(service.url, retries=2)
    service.answers(problem(503), Reply.of(ADA, 201))
    Author.objects.using(ALIAS).create(name="Ada")
    first, second = (asked.headers["Idempotency-Key"] for asked in service.asked)
    assert first == second


def test_an_update_with_a_version_is_not_repeated(service, connect):
    connect(service.url, retries=2)
    service.answers(page(ADA), problem(503))
    author = Author.objects.using(ALIAS).get(pk=1)
    with pytest.raises(OperationalError):
        author.save()
    assert [asked.method for asked in service.asked] == ["GET", "PATCH"]
    assert service.asked[1].headers["If-Match"] == '"v1"'


def test_a_delete_whose_answer_was_lost_counts_once(service, connect):
    connect(service.url, retries=2)
    service.answers(problem(503), problem(404, "not_found"))
    assert Author.objects.using(ALIAS).filter(pk=1)._raw_delete(ALIAS) == 1


def test_a_row_that_somebody_changed_is_not_overwritten(service, authors):
    service.answers(page(ADA), problem(412, "precondition_failed"))
    author = authors.get(pk=1)
    with pytest.raises(StaleVersion, match="changed by somebody else"):
        author.save()


def test_an_id_that_is_gone_is_does_not_exist(service, authors):
    service.answers(page())
    with pytest.raises(Author.DoesNotExist):
        authors.get(pk=7)


def test_a_row_that_is_gone_is_not_updated(service, authors):
    service.answers(page(ADA), problem(404, "not_found"))
    author = authors.get(pk=1)
    with pytest.raises(author.NotUpdated if hasattr(author, "NotUpdated") else Exception, match="did not affect"):
        author.save(force_update=True)


def test_a_key_that_is_a_number_here_and_a_text_there_is_one_key(service, authors):
    book = {column.column: None for column in Book._meta.local_concrete_fields} | {"id": 5, "author_id": "1"}
    service.answers(page(book), page(ADA), page(book), page(ADA))
    assert [author.name for author in authors.filter(book__title="Notes")] == ["Ada"]
    assert Book.objects.using(ALIAS).select_related("author").get().author.name == "Ada"


def test_what_a_service_has_in_addition_is_no_concern(service, authors):
    service.answers(page(ADA | {"shoe_size": 38}))
    assert authors.get(pk=1).name == "Ada"


def test_a_row_that_moves_while_a_list_is_read_comes_once(service, authors):
    other = ADA | {"id": 2, "name": "Bea"}
    service.answers(page(ADA, other, next_page="/v1/library_author?cursor=x"), page(other, ADA | {"id": 3}))
    assert [author.pk for author in authors.all()] == [1, 2, 3]


def test_a_clock_elsewhere_gives_the_same_moment(service):
    book = {column.column: None for column in Book._meta.local_concrete_fields}
    service.answers(page(book | {"id": 1, "published_at": "2026-01-31T14:00:00+02:00"}))
    assert Book.objects.using(ALIAS).get(pk=1).published_at == datetime(2026, 1, 31, 12, tzinfo=UTC)


def test_a_queryset_that_would_fetch_everything_says_so(service, connect):
    connect(service.url, max_rows=1)
    service.answers(page(ADA, ADA | {"id": 2}, next_page="/v1/library_author?cursor=x"))
    with pytest.raises(TooManyRows, match=r"more than 1 rows of library_author: filter or slice it"):
        list(Author.objects.using(ALIAS).all())
    assert len(service.asked) == 1


def test_an_iterator_reads_page_by_page_without_a_limit(service, connect):
    connect(service.url, max_rows=1)
    service.answers(page(ADA, next_page="/v1/library_author?cursor=x"), page(ADA | {"id": 2}))
    rows = Author.objects.using(ALIAS).iterator(chunk_size=1)
    assert next(rows).pk == 1
    assert len(service.asked) == 1
    assert [row.pk for row in rows] == [2]


def test_a_token_is_asked_for_again_after_a_401(service, connect):
    tokens = iter(["old", "new"])
    connect(service.url, token=lambda: next(tokens))
    service.answers(problem(401), page(ADA))
    assert Author.objects.using(ALIAS).get(pk=1)
    assert [asked.headers["Authorization"] for asked in service.asked] == ["Bearer old", "Bearer new"]


def test_the_requests_id_its_trace_and_its_users_token_are_passed_on(service, connect):
    connect(service.url, token=callers_token)
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    request = RequestFactory().get(
        "/", headers={"X-Request-ID": "r1", "traceparent": trace, "Authorization": "Bearer t"}
    )
    pass_on(lambda _: list(Author.objects.using(ALIAS).all()))(request)
    headers = service.asked[0].headers
    assert (headers["X-Request-ID"], headers["traceparent"], headers["Authorization"]) == ("r1", trace, "Bearer t")

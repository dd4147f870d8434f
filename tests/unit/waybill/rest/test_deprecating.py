"""The end of an operation is announced in each of its answers: RFC 9745 and RFC 8594."""

from datetime import UTC, datetime

from django.http import HttpResponse
from django.test import RequestFactory

from waybill.rest.openapi.operations import deprecated, facts_of

PAGE = "https://docs.example.com/things"


def test_a_deprecated_operation_says_since_when_until_when_and_what_replaces_it():
    @deprecated(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 7, 1, tzinfo=UTC), PAGE)
    def read_thing(_):
        return HttpResponse()

    answer = read_thing(RequestFactory().get("/"))
    assert answer.headers["Deprecation"] == "@1767225600"
    assert answer.headers["Sunset"] == "Wed, 01 Jul 2026 00:00:00 GMT"
    assert answer.headers["Link"] == f'<{PAGE}>; rel="deprecation"; type="text/html"'
    assert {"Deprecation", "Sunset", "Link"} <= set(facts_of(read_thing).headers)

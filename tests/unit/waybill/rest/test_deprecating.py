"""The end of an operation is announced in each of its answers: RFC 9745 and RFC 8594."""

import asyncio
from datetime import UTC, datetime, timedelta, timezone

import pytest
from django.http import HttpResponse
from django.test import RequestFactory

from waybill.deciders.outcomes import Code
from waybill.rest.middleware.requests import request_context
from waybill.rest.openapi.operations import deprecated, facts_of
from waybill.rest.problem import Problem

PAGE = "https://docs.example.com/things"
SINCE, SUNSET = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 7, 1, tzinfo=UTC)
LINK = f'<{PAGE}>; rel="deprecation"; type="text/html"'


@deprecated(SINCE, SUNSET, PAGE)
def read_thing(_):
    return HttpResponse(headers={"Link": '</v1/things?cursor=x>; rel="next"'})


def test_a_deprecated_operation_says_since_when_until_when_and_what_replaces_it():
    answer = request_context(read_thing)(RequestFactory().get("/"))
    assert answer.headers["Deprecation"] == "@1767225600"
    assert answer.headers["Sunset"] == "Wed, 01 Jul 2026 00:00:00 GMT"
    assert answer.headers["Link"] == f'</v1/things?cursor=x>; rel="next", {LINK}'
    assert {"Deprecation", "Sunset", "Link"} <= set(facts_of(read_thing).headers)
    assert facts_of(read_thing).deprecated


def test_its_errors_say_so_too():
    @deprecated(SINCE, SUNSET, PAGE)
    def refuse(_):
        raise Problem(404, Code.NOT_FOUND, "there is none")

    def as_the_api_does(request):
        try:
            return refuse(request)
        except Problem as problem:
            return problem.response("an-id")

    answer = request_context(as_the_api_does)(RequestFactory().get("/"))
    assert (answer.status_code, answer.headers["Deprecation"]) == (404, "@1767225600")


def test_an_operation_that_waits_says_so_and_stays_one():
    @deprecated(SINCE, SUNSET, PAGE)
    async def wait_for_thing(_):
        return HttpResponse()

    answer = asyncio.run(request_context(wait_for_thing)(RequestFactory().get("/")))
    assert answer.headers["Link"] == LINK


def test_a_sunset_of_another_time_zone_is_told_in_gmt():
    east = timezone(timedelta(hours=2))

    @deprecated(SINCE, datetime(2026, 7, 1, 2, tzinfo=east), PAGE)
    def read(_):
        return HttpResponse()

    assert request_context(read)(RequestFactory().get("/")).headers["Sunset"] == "Wed, 01 Jul 2026 00:00:00 GMT"


@pytest.mark.parametrize(
    ("since", "sunset", "said"),
    [(SUNSET, SINCE, "before the deprecation"), (SINCE, datetime(2026, 7, 1), "time zone")],  # noqa: DTZ001 - the error
)
def test_times_that_no_client_could_rely_on_are_refused(since: datetime, sunset: datetime, said: str):
    with pytest.raises(ValueError, match=said):
        deprecated(since, sunset, PAGE)

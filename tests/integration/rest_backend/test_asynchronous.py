"""Asynchronous views call several services at once."""

import threading
import time

import pytest
from asgiref.sync import async_to_sync
from django.db import OperationalError, connections
from django.test.utils import CaptureQueriesContext

from tests.support.library import ALIAS
from tests.support.library.models import Author
from tests.support.misbehaving import Reply, misbehaving
from waybill.rest_backend.asynchronous import gather

ADA = {"id": 1, "name": "Ada", "born": None, "_version": "v1"}


@pytest.fixture
def slow(connect):
    """A service that takes 0.3 seconds for each answer."""
    with misbehaving() as service:
        connect(service.url, retries=0)
        page = Reply.of({"items": [ADA], "next": None, "count": 1})
        page.after, page.patience = threading.Event(), 0.3
        service.answers(page)
        yield service


def authors():
    return Author.objects.using(ALIAS)


async def names():
    return [author.name async for author in authors()]


def three():
    return authors().aget(pk=1), authors().acount(), names()


@pytest.mark.usefixtures("slow")
def test_three_calls_of_300_ms_take_the_time_of_one():
    async def view():
        began = time.monotonic()
        return await gather(*three()), time.monotonic() - began

    (author, count, found), seconds = async_to_sync(view)()
    assert (author.name, count, found) == ("Ada", 1, ["Ada"])
    assert seconds < 0.7


def test_what_was_read_at_once_is_counted_and_saved_in_the_version_that_was_read(slow):
    async def view():
        author, _ = await gather(authors().aget(pk=1), authors().acount())
        slow.answers(Reply.of(ADA))
        await author.asave()

    with CaptureQueriesContext(connections[ALIAS]) as caught:
        async_to_sync(view)()
    assert [query["sql"].partition(" ")[0] for query in caught.captured_queries] == ["GET", "GET", "PATCH"]
    assert slow.asked[-1].headers["If-Match"] == '"v1"'


def test_an_error_of_one_is_raised_when_all_have_ended(slow):
    async def view():
        slow.answers(Reply.of({"status": 503}, 503))
        await gather(*three())

    with pytest.raises(OperationalError):
        async_to_sync(view)()
    assert connections[ALIAS].allow_thread_sharing is False

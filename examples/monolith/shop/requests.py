"""What every request leaves in the log: the id that the gateway gave it, or one of its own."""

import logging
from contextvars import ContextVar
from uuid import uuid4

from django.http import HttpResponse

HEADER = "X-Request-ID"
LONGEST = 128
current = ContextVar("current", default="-")


class RequestId:
    """Keep the request's id while it is answered, and give it back with the answer."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        given = request.headers.get(HEADER, "")[:LONGEST]
        request.id = given if given.isascii() and given.isprintable() and given else str(uuid4())
        token = current.set(request.id)
        try:
            response = self.get_response(request)
            response.headers[HEADER] = request.id
            return response
        finally:
            current.reset(token)


class AddRequestId(logging.Filter):
    """Give a log record the id of the request that is being answered."""

    def filter(self, record):
        request = getattr(record, "request", None)  # Django tells of an answer after the last middleware
        record.request_id = getattr(request, "id", None) or current.get()
        return True


def health(request):
    """The process answers; whether the database does is its pages' affair."""
    return HttpResponse("ok", content_type="text/plain")

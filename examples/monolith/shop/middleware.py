"""What a visitor sees when the database is away."""

from django.db import OperationalError
from django.http import HttpResponse
from django.template.loader import render_to_string


class UnavailablePage:
    """Answer 503 with a page that says so, and asks nothing of the database itself."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        return self.get_response(request)

    def process_exception(self, request, exception):
        if isinstance(exception, OperationalError):
            return HttpResponse(render_to_string("503.html"), status=503, headers={"Retry-After": "10"})
        return None

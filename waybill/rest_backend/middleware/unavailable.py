"""The page for a view that needs a service which gives no answer: 503, and when to try again."""

from math import ceil
from typing import Final

from django.http import HttpRequest, HttpResponse
from django.template import TemplateDoesNotExist, loader
from django.utils.cache import add_never_cache_headers
from django.utils.deprecation import MiddlewareMixin
from django.utils.log import log_response

from waybill.rest_backend.errors import ServiceUnavailable

TEMPLATE: Final = "503.html"
USUAL_SECONDS: Final = 5  # in Retry-After, where the service did not say
PLAIN: Final = """<!doctype html>
<html lang="en">
<head><title>Service Unavailable</title></head>
<body>
<h1>Service Unavailable</h1><p>A part of this site gives no answer. Please try again in a moment.</p>
</body>
</html>
"""


class UnavailablePage(MiddlewareMixin):
    """Answer 503 with the project's `503.html`, or a plain page, where a service gave no answer (Django middleware).

    The template has `retry_after`, in seconds, and neither the request nor what context processors add: that may need
    the same service.
    """

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """Return the page, and log what was asked of which service."""
        if not isinstance(exception, ServiceUnavailable):
            return None
        seconds = ceil(exception.retry_after or USUAL_SECONDS)
        response = HttpResponse(_page(seconds), status=503, headers={"Retry-After": str(seconds)})
        add_never_cache_headers(response)
        log_response("Service unavailable: %s: %s", request.path, exception, response=response, request=request)
        return response


def _page(seconds: int) -> str:
    try:
        return loader.get_template(TEMPLATE).render({"retry_after": seconds})
    except TemplateDoesNotExist:
        return PLAIN

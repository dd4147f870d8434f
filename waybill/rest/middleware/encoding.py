"""How an answer goes out: compressed where the client takes that and it saves something, its body left out for HEAD."""

import gzip
from typing import Final

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import patch_vary_headers

from waybill.rest.conditions import ENCODED
from waybill.rest.middleware.methods import weights

LEAST_BYTES: Final = 1_000  # a smaller one fits a packet as it is
LEVEL: Final = 5


def encode(request: HttpRequest, response: HttpResponseBase) -> None:
    """Set what every answer has, and compress it where that is asked for."""
    response.headers.setdefault("Cache-Control", "no-store")
    if isinstance(response, HttpResponse) and len(response.content) >= LEAST_BYTES:
        patch_vary_headers(response, ["Accept-Encoding"])
        if weights(request.headers.get("Accept-Encoding", "")).get("gzip", 0) > 0 and not response.has_header(
            "Content-Encoding"
        ):
            response.content = gzip.compress(response.content, LEVEL, mtime=0)
            response.headers["Content-Encoding"] = "gzip"
            if tag := response.headers.get("ETag"):
                response.headers["ETag"] = f'{tag[:-1]}{ENCODED}"'

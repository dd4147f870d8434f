"""Answers in JSON."""

import json
from collections.abc import Mapping
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.http import HttpResponse


def answer(status: int, body: Mapping[str, Any], *, version: int | str | None = None, **headers: str) -> HttpResponse:
    """Return a JSON answer; `version` becomes the ETag, keywords become headers (`retry_after` → Retry-After)."""
    response = HttpResponse(json.dumps(body, cls=DjangoJSONEncoder), status=status, content_type="application/json")
    if version is not None:
        response.headers["ETag"] = f'"{version}"'
    for name, value in headers.items():
        response.headers[name.replace("_", "-").title()] = value
    return response


def nothing() -> HttpResponse:
    """Return a 204, which has no body and so no type of one."""
    response = HttpResponse(status=204)
    del response.headers["Content-Type"]
    return response

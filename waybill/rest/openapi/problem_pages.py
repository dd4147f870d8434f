"""The page of each error code, where the `type` of a problem leads: on the service itself, and for `make docs`."""

from collections.abc import Iterable
from html import escape
from http import HTTPStatus
from typing import Final

from django.http import HttpRequest, HttpResponse

from waybill.deciders.outcomes import Code, ErrorCode
from waybill.rest.problem import TYPES, Problem

SHELL: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title></head>
<body><main>{body}</main></body></html>
"""


def known() -> dict[str, ErrorCode]:
    """Return every code of this process, by name: those that all services have, and the service's own."""
    return {str(code): code for enum in sorted(_enums(), key=lambda enum: enum.__name__) for code in enum}


def _enums() -> Iterable[type[ErrorCode]]:
    return [Code, *(enum for enum in ErrorCode.__subclasses__() if enum is not Code)]


def page(request: HttpRequest, name: str) -> HttpResponse:
    """Answer with the page of one code; needs no token."""
    code = known().get(name)
    if code is None:
        missing = Problem(404, Code.NOT_FOUND, f"there is no problem {name[:100]!r}; {TYPES} lists them")
        return missing.response(request.META["waybill.request_id"])
    return _html(str(code), paragraphs(code))


def index(_: HttpRequest) -> HttpResponse:
    """Answer with the list of the codes; needs no token."""
    lines = (
        f'<li><a href="{TYPES}{name}">{name}</a>: {escape(c.explained.meaning, quote=False)}</li>'
        for name, c in known().items()
    )
    body = f"<h1>Problems</h1><ul>{''.join(lines)}</ul>"
    return HttpResponse(SHELL.format(title="Problems", body=body), content_type="text/html; charset=utf-8")


def paragraphs(code: ErrorCode) -> list[str]:
    """Return what a page says of a code, in Markdown."""
    said = code.explained
    again = "The same request can succeed later." if said.retryable else "The same request would end the same way."
    return [f"Status {said.status} {HTTPStatus(said.status).phrase}. {said.meaning}", said.remedy, again]


def _html(title: str, said: list[str]) -> HttpResponse:
    body = "".join([f"<h1>{title}</h1>", *(f"<p>{escape(one, quote=False).replace('`', '')}</p>" for one in said)])
    return HttpResponse(SHELL.format(title=title, body=body), content_type="text/html; charset=utf-8")

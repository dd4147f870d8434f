"""The few static files: read at the start, called by what is in them, and kept by browsers for ever."""

import hashlib
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

import django_htmx
from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from console_service.web.access import for_all

HERE: Final = Path(__file__).parents[1] / "static"
HTMX: Final = Path(django_htmx.__file__).parent / "static" / "django_htmx"
FILES: Final = {
    "console.css": (HERE, "text/css"),
    "console.js": (HERE, "text/javascript"),
    "console.svg": (HERE, "image/svg+xml"),
    "htmx-2.min.js": (HTMX, "text/javascript"),
}


class Asset(NamedTuple):
    """A file, and the name by which pages ask for it."""

    path: str
    kind: str
    content: bytes


@cache
def assets() -> dict[str, Asset]:
    """Return the files by their own names."""
    found: dict[str, Asset] = {}
    for name, (folder, kind) in FILES.items():
        content = (folder / name).read_bytes()
        stem, _, ending = name.rpartition(".")
        found[name] = Asset(f"{stem}.{hashlib.sha256(content).hexdigest()[:12]}.{ending}", kind, content)
    return found


@for_all
@require_safe
def serve(_: HttpRequest, path: str) -> HttpResponse:
    """Return a file."""
    for asset in assets().values():
        if asset.path == path:
            headers = {"Cache-Control": "public, max-age=31536000, immutable"}
            return HttpResponse(asset.content, content_type=f"{asset.kind}; charset=utf-8", headers=headers)
    raise Http404("no such file")

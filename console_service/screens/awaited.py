"""A screen that is not there yet: which command says the same meanwhile."""

from collections.abc import Callable, Mapping
from typing import Any

from django.http import HttpRequest, HttpResponse

from console_service.web.page import page


def show(name: str, title: str, command: str) -> Callable[..., HttpResponse]:
    """Return the view of such a screen."""

    @page("console/awaited.html", title)
    def view(_request: HttpRequest) -> Mapping[str, Any]:
        return {"what": f"This screen is not there yet; in a terminal, `{command}` says the same.", "here": name}

    return view

"""What somebody else changed between a form's page and its submission is not overwritten.

A page with a form of a service's row has, in a signed hidden field beside the CSRF token, the version in which the row
was read for it. The request that the form makes writes the row in that version (If-Match), whatever the view itself
has read by then. `FormErrors` makes errors of the form of what the service refuses, and its page has the new version:
sent again, the form overwrites the change.

It holds for whatever makes a ModelForm of a row and shows it by a template with `{% csrf_token %}`: class-based views,
functions, formsets, the admin. `BaseModelForm.__init__` is replaced by one that also tells of the row, since Django
calls nothing after it. The tag is one of the template engine's builtins, in place of Django's. Rejected:

- a field of the form: templates that name each field, the admin's among them, would not show it;
- a version in the session: two tabs with one row would share it;
- inserting it into the page where a `<form>` ends: what makes pages is the project's, and may be a stream.
"""

import functools
from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Final, cast

from django.core import signing
from django.core.exceptions import ImproperlyConfigured, SuspiciousOperation
from django.db import connections
from django.forms.models import BaseModelForm
from django.http import HttpRequest
from django.template import Library, engines
from django.template.backends.django import DjangoTemplates
from django.template.defaulttags import CsrfTokenNode
from django.utils.decorators import sync_and_async_middleware
from django.utils.html import format_html
from django.utils.safestring import SafeString

from waybill.rest_backend.middleware.incoming import awaits
from waybill.rest_backend.operations import as_json
from waybill.rest_backend.request import Resource

FIELD: Final = "waybill_versions"
Row = tuple[str, str, str]
"""A connection's alias, a collection, a key."""

register = Library()


@dataclass(slots=True)
class _Forms:
    """A request, and the rows that its page's forms show."""

    request: HttpRequest
    showing: dict[Row, str] = field(default_factory=dict[Row, str])
    _sent: dict[Row, str] | None = None

    @property
    def sent(self) -> dict[Row, str]:
        """The versions that the request's form was shown with; read when they are first asked for."""
        if self._sent is None:
            texts = self.request.POST.getlist(FIELD) if self.request.method == "POST" else []
            self._sent = {row: version for text in texts for row, version in _read(text).items()}
        return self._sent


_forms: ContextVar[_Forms | None] = ContextVar("_forms", default=None)


@sync_and_async_middleware
def keep_form_versions(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    """Write a row that a form shows in the version that it shows (Django middleware; before `FormErrors`)."""
    _check_templates()
    _tell_of_rows()

    def in_thread(request: HttpRequest) -> Any:
        with _known(request):
            return get_response(request)

    async def in_loop(request: HttpRequest) -> Any:
        with _known(request):
            return await get_response(request)

    return in_loop if awaits(get_response) else in_thread


def sent(alias: str, resource: Resource, key: Any) -> str | None:
    """Return the version of a row that the request's form was shown with."""
    forms = _forms.get()
    return forms.sent.get((alias, resource.name, str(key))) if forms else None


def were_sent() -> bool:
    """Tell whether the request's form was shown with versions."""
    forms = _forms.get()
    return bool(forms and forms.request.POST.get(FIELD))


def settle(alias: str, resource: Resource, key: Any, version: str | None) -> None:
    """Let a row whose write has ended have the version that it has now; None: it is to be read again."""
    if (forms := _forms.get()) is None:
        return
    row = alias, resource.name, str(key)
    forms.sent.pop(row, None)
    if version is not None and row in forms.showing:
        forms.showing[row] = version


def hidden_field() -> str:
    """Return the hidden field of the page's forms: for templates without `{% csrf_token %}`, as those of Jinja."""
    forms = _forms.get()
    if forms is None or not forms.showing:
        return SafeString("")
    rows = [[*row, version] for row, version in forms.showing.items()]
    return format_html(
        '<input type="hidden" name="{}" value="{}">', FIELD, signing.dumps(rows, salt=FIELD, compress=True)
    )


class _Tokens(CsrfTokenNode):
    def render(self, context: Any) -> SafeString:
        return format_html("{}{}", super().render(context), hidden_field())


@register.tag
def csrf_token(_parser: Any, _token: Any) -> CsrfTokenNode:
    """Render the CSRF token's hidden field, and the versions' beside it."""
    return _Tokens()


@contextmanager
def _known(request: HttpRequest) -> Generator[None]:
    token = _forms.set(_Forms(request))
    try:
        yield
    finally:
        _forms.reset(token)


def _read(text: str) -> dict[Row, str]:
    try:
        told = signing.loads(text, salt=FIELD)
    except signing.BadSignature:
        raise SuspiciousOperation(f"{FIELD} is not as it was shown") from None
    return {(alias, name, key): version for alias, name, key, version in cast("list[list[str]]", told)}


def _check_templates() -> None:
    found = [one for one in engines.all() if isinstance(one, DjangoTemplates)]
    if found and not any(__name__ in one.engine.builtins for one in found):
        raise ImproperlyConfigured(f"no page would have versions: TEMPLATES: OPTIONS: 'builtins': [{__name__!r}]")


def _tell_of_rows() -> None:
    init = cast("Any", BaseModelForm).__init__
    if hasattr(init, "__wrapped__"):
        return

    @functools.wraps(init)
    def and_tell(self: Any, *given: Any, **named: Any) -> None:
        init(self, *given, **named)
        if (forms := _forms.get()) is not None:
            forms.showing |= _versions(self.instance)

    BaseModelForm.__init__ = and_tell


def _versions(instance: Any) -> dict[Row, str]:
    """Return the version of a row, and of those of parent models that it is made of, as it was sent or read."""
    alias = instance._state.db  # noqa: SLF001 - Django's documented _state
    connection: Any = connections[alias] if alias else None
    if connection is None or connection.vendor != "waybill_rest" or instance.pk is None:
        return {}
    found: dict[Row, str] = {}
    meta = instance._meta.concrete_model._meta  # noqa: SLF001 - Django's documented _meta
    for one in (meta, *(parent._meta for parent in meta.get_parent_list())):  # noqa: SLF001 - likewise
        resource = connection.resource(one)
        key = as_json(one.pk.get_db_prep_value(getattr(instance, one.pk.attname), connection))
        if (version := connection.version_of(resource, key)) is not None:
            found[alias, resource.name, str(key)] = version
    return found

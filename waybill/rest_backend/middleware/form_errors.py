"""What a service refuses becomes errors of the form that asked for it, in views that know of no service.

A service says what it refuses when a form is saved, and Django's views show the errors of forms that were not valid
before. So the view runs a second time: its form is validated anew, has the service's errors then, and the view does
what it does with every form that is not valid. It holds for class-based views, functions, formsets and the admin.

Relied on: a view writes nothing while a form of its is not valid. What it had written before the refusal stays written.
Where no form of the request could have made the write, or the second run is refused too, the exception goes on.

`BaseForm.full_clean` is replaced by one that also tells of the form, since Django calls nothing after it. Rejected:

- `form_invalid()` of the view: functions and the admin have none;
- errors raised by `Model.clean()` or a constraint of the model: what makes them would be in the models and migrations.
"""

import functools
from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Final, cast

from asgiref.sync import markcoroutinefunction
from django.core.exceptions import NON_FIELD_ERRORS
from django.forms.forms import BaseForm
from django.forms.formsets import DELETION_FIELD_NAME, ManagementForm
from django.http import HttpRequest, HttpResponse

from waybill.rest_backend.errors import RefusedWrite, StaleVersion
from waybill.rest_backend.middleware import form_versions
from waybill.rest_backend.middleware.incoming import awaits

STALE: Final = "Somebody else changed this meanwhile. Nothing was saved; save again to overwrite the change."


@dataclass(slots=True)
class _Run:
    """What is known of a request's forms."""

    validated: list[BaseForm] = field(default_factory=list[BaseForm])
    refused: tuple[BaseForm, RefusedWrite] | None = None
    """The form of the first run, and what became of it."""

    def form_of(self, error: RefusedWrite, request: HttpRequest) -> BaseForm | None:
        """Return the form whose row it was, else the first one that the request has filled in."""
        filled = [form for form in self.validated if form.data == request.POST and not _passed_over(form)]
        own = [form for form in filled if _is_of(getattr(form, "instance", None), error)]
        return next(iter([*own, *filled]), None)


_run: ContextVar[_Run | None] = ContextVar("_run", default=None)


class FormErrors:
    """Show forms again with what a service said of them (Django middleware; the last one of MIDDLEWARE)."""

    sync_capable = async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self._get_response, self._awaits = get_response, awaits(get_response)
        _tell_of_forms()
        if self._awaits:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> Any:
        """Let the view answer, once more where a service refused what its form asked for."""
        if self._awaits:
            return self._in_loop(request)
        with _begun() as run:
            response = self._get_response(request)
            return self._get_response(_again(request)) if run.refused else response

    async def _in_loop(self, request: HttpRequest) -> Any:
        with _begun() as run:
            response = await self._get_response(request)
            return await self._get_response(_again(request)) if run.refused else response

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """Take the refusal for the second run, whose answer replaces this one."""
        run = _run.get()
        if not isinstance(exception, RefusedWrite) or run is None or run.refused:
            return None
        form = run.form_of(exception, request)
        if form is None:
            return None
        run.refused = form, exception
        return HttpResponse(status=500)


@contextmanager
def _begun() -> Generator[_Run]:
    run = _Run()
    token = _run.set(run)
    try:
        yield run
    finally:
        _run.reset(token)


def _again(request: HttpRequest) -> HttpRequest:
    """Return the request as it was: its files are read from their beginning."""
    for _, files in request.FILES.lists():
        for file in files:
            file.seek(0)
    return request


def _tell_of_forms() -> None:
    full_clean = BaseForm.full_clean
    if hasattr(full_clean, "__wrapped__"):
        return

    @functools.wraps(full_clean)
    def and_tell(self: BaseForm) -> None:
        full_clean(self)
        run = _run.get()
        if run is None or not self.is_bound:
            return
        if run.refused is None:
            run.validated.append(self)
        elif _same(self, run.refused[0]):
            _show(self, *run.refused)

    BaseForm.full_clean = and_tell


def _passed_over(form: BaseForm) -> bool:
    """Tell whether a formset asks no more than this of it: errors of what is to be deleted do not count."""
    return isinstance(form, ManagementForm) or bool(form.cleaned_data.get(DELETION_FIELD_NAME))


def _is_of(instance: Any, error: RefusedWrite) -> bool:
    if any(one is instance for one in error.instances):
        return True
    return isinstance(instance, error.model) and str(instance.pk) in map(str, error.pks)


def _same(form: BaseForm, first: BaseForm) -> bool:
    """Tell whether a form of the second run is that of the first: their classes may be made by each."""
    return (type(form).__qualname__, form.prefix) == (type(first).__qualname__, first.prefix)


def _show(form: BaseForm, first: BaseForm, error: RefusedWrite) -> None:
    if isinstance(error, StaleVersion):
        form.add_error(None, STALE)
        for name in _changed(form, first) or (form.changed_data if form_versions.were_sent() else ()):
            form.add_error(name, f"It is {_now(form, name)} now.")
        return
    names = {column.column: column.name for column in error.model._meta.concrete_fields}  # noqa: SLF001 - Django's documented _meta
    for column, messages in error.message_dict.items():
        _add(form, names.get(column, column), messages)


def _add(form: BaseForm, name: str, messages: list[str]) -> None:
    """Add a field's errors, but for those that the form found by itself; to the form, where it has no such field."""
    if name in form.fields:
        form.add_error(name, [text for text in messages if text not in form.errors.get(name, ())])
    else:
        form.add_error(None, messages if name == NON_FIELD_ERRORS else [f"{name}: {text}" for text in messages])


def _changed(form: BaseForm, first: BaseForm) -> list[str]:
    """Return the fields that hold another value than when the first run loaded them."""
    return [name for name in form.fields if form.initial.get(name) != first.initial.get(name)]


def _now(form: BaseForm, name: str) -> str:
    value, asked = cast("Any", form.initial.get(name)), cast("Any", form.fields[name])
    if value in (None, "", []):
        return "empty"
    if isinstance(value, list):
        return ", ".join(map(str, cast("list[Any]", value)))
    label = getattr(asked, "label_from_instance", None)  # of a field that chooses a row
    return label(asked.to_python(value)) if label else str(value)

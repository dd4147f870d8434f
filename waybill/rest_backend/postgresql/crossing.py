"""Which models of services a local query joins."""

from collections.abc import Iterator, Mapping
from typing import Any, cast

from django.core.exceptions import FieldDoesNotExist, FieldError
from django.db.models.constants import LOOKUP_SEP

from waybill.rest_backend.router import service_of


def services_joined(query: Any) -> set[str]:
    """Return the names of the models of services whose tables a query joins, or will join once it is compiled."""
    return {model.__name__ for model in _joined(query) if service_of(model) is not None}


def _joined(query: Any) -> Iterator[Any]:
    for alias, join in query.alias_map.items():
        if join.parent_alias and query.alias_refcount.get(alias):
            yield from (rhs.model for _, rhs in join.join_fields)
    yield from _selected(query.get_meta(), query.select_related, query.max_depth)
    yield from _ordered(query)


def _selected(meta: Any, wanted: Any, depth: int) -> Iterator[Any]:
    """Yield what select_related() joins: what it names, or every foreign key that is never null."""
    if not wanted or not depth:
        return
    every = {field.name: True for field in meta.fields if field.remote_field and not field.null}
    named = cast("Mapping[str, Any]", wanted if isinstance(wanted, Mapping) else every)
    for name, further in named.items():
        try:
            related = meta.get_field(name).related_model
        except FieldDoesNotExist:
            continue  # Django says so itself
        yield related
        yield from _selected(related._meta, further, depth - 1)  # noqa: SLF001 - documented


def _ordered(query: Any) -> Iterator[Any]:
    meta = query.get_meta()
    for name in query.order_by or (meta.ordering if query.default_ordering else ()):
        if not isinstance(name, str):
            continue
        parts = name.lstrip("+-").split(LOOKUP_SEP)
        try:
            path, field, *_ = query.names_to_path(parts, meta)
        except (FieldError, FieldDoesNotExist):
            continue  # an annotation, or what Django refuses itself
        if len(parts) > 1 or getattr(field, "attname", None) != parts[-1]:
            yield from (step.to_opts.model for step in path)

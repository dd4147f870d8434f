"""One Django model as a collection: which rows, which fields, and what a write does."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar, Final

from django.core.exceptions import ValidationError
from django.db import connections, models
from django.http import HttpRequest

from waybill.rest.collections import replicas, versions
from waybill.rest.collections.access import Action, May
from waybill.rest.collections.asked import EQUAL, Asked, Names, cursor_behind
from waybill.rest.collections.rows import Place, behind, condition, ordering
from waybill.rest.collections.validating import validate
from waybill.rest.collections.values import from_json, writer
from waybill.rest.filters import LOOKUPS

VERSION: Final = "_version"


class Collection:
    """A model's rows under a name; subclass it where a write is more than a row saved."""

    clean: ClassVar[bool] = True
    """Whether writes are validated as a form's are (`full_clean`), beside types and the database's constraints."""
    filters: ClassVar[dict[str, Sequence[str]] | None] = None
    """Of a large table, by field the lookups that it has an index for (`EQUAL`, `ORDERED`): clients filter by nothing
    else. The key is always filtered by what is `EQUAL`. None: every field by every lookup."""
    sorts: ClassVar[tuple[str, ...] | None] = None
    """Likewise the fields, beside the key, that clients order by. None: every field."""
    longest_seconds: ClassVar[float] = 5
    """That a statement of a read may take, where `reads` serves it from PostgreSQL."""

    def __init__(
        self,
        model: type[models.Model],
        name: str,
        *,
        may: May,
        fields: tuple[str, ...] = (),
        read_only: tuple[str, ...] = (),
        order_by: tuple[str, ...] = (),
    ) -> None:
        """Declare it.

        `fields`: those that are served (default: every column); `read_only`: of these, what no client writes;
        `order_by`: paths to fields of related rows, as `author__name`, that clients may order by beside the fields.
        """
        self.model, self.name, self.may = model, name, may
        self.read_only = frozenset(read_only)
        columns = {self.name_of(field): field for field in model._meta.local_concrete_fields}  # noqa: SLF001 - Django's documented _meta
        if unknown := {*fields, *read_only, *(self.filters or ()), *(self.sorts or ())} - columns.keys():
            raise ValueError(f"{model.__name__} has no field {', '.join(sorted(unknown))}")
        key = self.name_of(model._meta.pk)  # noqa: SLF001 - likewise
        self.fields = {one: field for one, field in columns.items() if not fields or one in fields or one == key}
        self.key = key
        self.paths = {path: self._path(path) for path in order_by}
        every = dict.fromkeys(self.fields, LOOKUPS)
        self.lookups: Mapping[str, Sequence[str]] = every if self.filters is None else {key: EQUAL} | self.filters
        self.sorted_by = (*(self.fields if self.sorts is None else dict.fromkeys((key, *self.sorts))), *self.paths)

    def name_of(self, field: Any) -> str:
        """Return a column's name for clients."""
        return field.attname

    def rows(self, request: HttpRequest) -> models.QuerySet[Any]:  # noqa: ARG002 - for who overrides it
        """Return the rows that the caller may see and change; override it to show each their own."""
        return self.model._base_manager.all()  # noqa: SLF001 - Django's documented manager that filters nothing

    def create(self, instance: models.Model) -> None:
        """Save a new row."""
        instance.save(force_insert=True)

    def change(self, instance: models.Model, fields: list[str]) -> None:
        """Save these fields of a row."""
        instance.save(update_fields=fields)

    def delete(self, instance: models.Model) -> None:
        """Delete a row."""
        instance.delete()

    def token(self) -> str | None:
        """Return what a read has seen that shows what was just committed; None where every read shows it at once.

        A token stands for all writes before it. Override it with `has_seen` where reads are of a table that is written
        later: a number of the last event, say.
        """
        return replicas.position(self.model)

    def has_seen(self, token: str) -> bool:
        """Tell whether reads show what was committed before the token was given, and True of one that is unknown."""
        return replicas.has_replayed(self.model, token)

    @cached_property
    def unique(self) -> tuple[str, ...]:
        """Return the fields by which rows have one sort."""
        return tuple(one for one, field in self.fields.items() if field.unique and not field.null)

    @cached_property
    def names(self) -> Names:
        """Return what clients may name in a request for a list."""
        return Names(tuple(self.fields), self.key, self.unique, self.lookups, self.sorted_by)

    def page(self, request: HttpRequest, asked: Asked) -> tuple[list[dict[str, Any]], str | None]:
        """Return a page's items, and the cursor of the next one."""
        found = self._selected(request, asked).filter(behind(asked, self.field_of))
        found = found.order_by(*ordering(asked.sort, self.field_of))[asked.offset : asked.offset + asked.limit + 1]
        wanted = dict.fromkeys([*asked.fields, *(one.field for one in asked.sort)])
        rows = self._read(found, wanted) if asked.limit else []
        shown = rows[: asked.limit]
        cursor = cursor_behind(shown[-1], asked.sort) if len(rows) > asked.limit else None
        return [self.item(row, asked.fields) for row in shown], cursor

    def count(self, request: HttpRequest, asked: Asked) -> int:
        """Return how many rows match, whichever of them the page has."""
        return self._selected(request, asked).count()

    def item(self, row: Mapping[str, Any], fields: tuple[str, ...]) -> dict[str, Any]:
        """Return a row as it stands in a list: the fields asked for, and its version."""
        return {name: row[name] for name in fields} | {VERSION: self.version_of(row)}

    def version_of(self, row: Mapping[str, Any]) -> str:
        """Return a row's version: a tag of the fields that are served (waybill.rest.collections.versions)."""
        return row[VERSION]

    def row_of(self, instance: models.Model) -> dict[str, Any]:
        """Return a row as the database has it now: saving may round, and fill in defaults."""
        saved = self.model._base_manager.using(instance._state.db).filter(pk=instance.pk)  # noqa: SLF001 - as in `rows`
        return self._read(saved, self.fields)[0]

    def row(self, request: HttpRequest, key: str) -> dict[str, Any] | None:
        """Return the row of a key, as `row_of` does, or None where the caller sees no such row."""
        return next(iter(self._read(self._keyed(request, key)[:1], self.fields)), None)

    def found(self, request: HttpRequest, key: str) -> models.Model | None:
        """Return the row of a key, locked, or None where the caller sees no such row."""
        return self._keyed(request, key).select_for_update(of=("self",)).first()

    def filled(self, instance: models.Model, given: Mapping[str, Any], where: str = "") -> list[str]:
        """Put what a client gave into a row, and return the names that were given.

        Raises a ValidationError by the clients' names where a value is not of its field's type or may not be written.
        """
        errors: dict[str, Any] = {}
        for name, value in given.items():
            try:
                self._fill(instance, name, value)
            except ValidationError as error:
                errors[f"{where}{name}"] = error.messages
        if errors:
            raise ValidationError(errors)
        return [self.fields[name].name for name in given]

    def validated(self, instance: models.Model, where: str = "") -> None:
        """Validate a row as a form would. Raises a ValidationError by the clients' names; Taken, of a unique value."""
        if not self.clean:
            return
        try:
            validate(instance)
        except ValidationError as error:
            names = {field.name: name for name, field in self.fields.items()}
            told = {f"{where}{names.get(field, field)}": texts for field, texts in error.message_dict.items()}
            raise type(error)(told) from None

    def field_of(self, name: str) -> Place:
        """Return where a client's name leads to. Raises KeyError."""
        field = self.fields.get(name)
        return self.paths[name] if field is None else Place(field.attname, field, nullable=field.null)

    def allow(self, request: HttpRequest, action: Action) -> None:
        """Raise a Problem where the caller may not do this."""
        self.may(request, action)

    def _fill(self, instance: models.Model, name: str, value: Any) -> None:
        field = self.fields.get(name)
        if field is None:
            raise ValidationError("no such field of this collection")
        if name in self.read_only:
            raise ValidationError("this field cannot be written")
        parsed = from_json(field, value)
        if parsed is None and not field.null and not field.primary_key:
            raise ValidationError("this field cannot be null")
        setattr(instance, field.attname, parsed)

    def _keyed(self, request: HttpRequest, key: str) -> models.QuerySet[Any]:
        rows = self.rows(request)
        try:
            return rows.filter(pk=from_json(self.fields[self.key], key))
        except ValidationError:
            return rows.none()

    def _selected(self, request: HttpRequest, asked: Asked) -> models.QuerySet[Any]:
        return self.rows(request).filter(condition(asked.where, self.field_of))

    def _read(self, rows: models.QuerySet[Any], names: Iterable[str]) -> list[dict[str, Any]]:
        """Return rows as JSON has them: fields and paths by name, and the version."""
        if connections[rows.db].vendor == "postgresql":
            version = versions.InDatabase(tuple(self.fields.values()))
            return self._written(rows, [*names], (version,), [*names, VERSION])
        every = [*dict.fromkeys([*self.fields, *names])]
        found = self._written(rows, every, (), every)
        return [row | {VERSION: versions.here({name: row[name] for name in self.fields})} for row in found]

    def _written(
        self, rows: models.QuerySet[Any], names: Sequence[str], further: Sequence[Any], told: Sequence[str]
    ) -> list[dict[str, Any]]:
        places = [self.field_of(name) for name in names]
        writers = [writer(one.field) for one in places] + [str] * len(further)
        found = rows.values_list(*(one.path for one in places), *further)
        return [
            {name: write(value) for name, write, value in zip(told, writers, values, strict=True)} for values in found
        ]

    def _path(self, path: str) -> Place:
        field: Any = None
        model: Any = self.model
        for name in path.split("__"):
            field = model._meta.get_field(name)  # noqa: SLF001 - Django's documented _meta
            model = field.related_model
        return Place(path, field, nullable=True)

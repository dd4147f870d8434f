"""Is a row one that may be saved: what a form would say of it, and whether a unique value of it is taken."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.db import models, router


class Taken(ValidationError):
    """A unique value that another row has."""


def validate(instance: models.Model) -> None:
    """Validate a row as a form would. Raises a ValidationError by Django's names; Taken where nothing else is wrong."""
    instance.full_clean(validate_unique=False, validate_constraints=False)
    uniques, others = _checks(instance)
    if errors := _errors(others):
        raise ValidationError(errors)
    if errors := _errors([instance.validate_unique, *uniques]):
        raise Taken(errors)


def _checks(instance: models.Model) -> tuple[list[Callable[[], None]], list[Callable[[], None]]]:
    """Return what checks the model's constraints: those of unique values, and the others."""
    using = router.db_for_write(type(instance), instance=instance)
    uniques: list[Callable[[], None]] = []
    others: list[Callable[[], None]] = []
    for model, constraint in _constraints(instance):
        kind = uniques if isinstance(constraint, models.UniqueConstraint) else others
        kind.append(partial(_check, constraint, model, instance, using))
    return uniques, others


def _constraints(instance: models.Model) -> Iterator[tuple[type[models.Model], Any]]:
    for model, constraints in instance.get_constraints():
        yield from ((model, one) for one in constraints)


def _check(constraint: Any, model: type[models.Model], instance: models.Model, using: str) -> None:
    """Check one; of a single field's values the error is the field's, as Django has it."""
    try:
        constraint.validate(model, instance, using=using)
    except ValidationError as error:
        fields: tuple[str, ...] = getattr(constraint, "fields", ())
        name = fields[0] if len(fields) == 1 else NON_FIELD_ERRORS
        raise (error if hasattr(error, "error_dict") else ValidationError({name: error})) from None


def _errors(checks: list[Callable[[], None]]) -> dict[str, list[ValidationError]]:
    found: dict[str, list[ValidationError]] = {}
    for check in checks:
        try:
            check()
        except ValidationError as error:
            found = error.update_error_dict(found)
    return found

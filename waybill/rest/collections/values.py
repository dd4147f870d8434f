"""Field values as JSON has them: what has no JSON type of its own is a text that says it exactly."""

import base64
import binascii
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final, cast

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models
from django.utils import timezone
from django.utils.duration import duration_iso_string

# What the database gives for these is JSON's own already; a subclass of one may make something else of it.
PLAIN: Final = frozenset(
    {
        models.AutoField, models.BigAutoField, models.BigIntegerField, models.BooleanField, models.CharField,
        models.EmailField, models.IntegerField, models.PositiveBigIntegerField, models.PositiveIntegerField,
        models.PositiveSmallIntegerField, models.SlugField, models.SmallAutoField, models.SmallIntegerField,
        models.TextField, models.URLField,
    }
)  # fmt: skip
# And these make nothing else of it than `as_json` does.
READY: Final = frozenset({models.DateField, models.DateTimeField, models.DecimalField, models.UUIDField})


def writer(field: Any) -> Callable[[Any], Any]:
    """Return what makes JSON of the values that a field's column has."""
    kind = cast("type[Any]", type(field.target_field if field.is_relation else field))
    if kind in PLAIN:
        return _same
    return as_json if kind in READY else lambda value: as_json(field.get_prep_value(value))


def _same(value: Any) -> Any:
    return value


def as_json(value: Any) -> Any:
    """Return a value of a field as JSON takes it."""
    match value:
        case None | bool() | int() | float() | str():
            return value
        case dict() | list():
            return cast("Any", value)
        case datetime():
            return _aware(value).astimezone(UTC).isoformat().replace("+00:00", "Z")
        case date() | time():
            return value.isoformat()
        case timedelta():
            return duration_iso_string(value)
        case Decimal():
            return f"{value:f}" if value.is_finite() else str(value)
        case bytes() | memoryview() | bytearray():
            return base64.b64encode(bytes(cast("bytes", value))).decode()
        case _:  # a UUID, and what a field of the project's own makes
            return str(value)


def from_json(field: Any, value: Any) -> Any:
    """Return the field's Python value. Raises ValidationError where it is of another type."""
    kind = field.target_field if field.is_relation else field
    if value is None or isinstance(kind, models.JSONField):
        return value
    if isinstance(value, list | dict):
        raise ValidationError("expected one value")
    if isinstance(kind, models.BinaryField):
        return _bytes(value)
    if isinstance(kind, models.BooleanField) and value in ("true", "false"):
        return value == "true"
    if isinstance(kind, models.CharField | models.TextField) and not isinstance(value, str):
        raise ValidationError("expected a text")
    try:
        parsed = kind.to_python(value)
    except (ValueError, TypeError, OverflowError):
        raise ValidationError(f"{value!r} is no {kind.get_internal_type()}") from None
    return _as_configured(parsed) if isinstance(parsed, datetime) else parsed


def _bytes(value: Any) -> bytes:
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, TypeError, ValueError):
        raise ValidationError("expected bytes in base64") from None


def _aware(value: datetime) -> datetime:
    return value if timezone.is_aware(value) else timezone.make_aware(value, timezone.get_default_timezone())


def _as_configured(value: datetime) -> datetime:
    """Return the moment as the project has it: with its offset, or without where USE_TZ is off."""
    if settings.USE_TZ:
        return _aware(value)
    return value if timezone.is_naive(value) else timezone.make_naive(value, timezone.get_default_timezone())

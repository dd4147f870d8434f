"""What of a payload an operator sees: fields with personal data are masked, by the project's own list of them."""

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any, Final, cast
from uuid import UUID

from waybill.application import application

MASK: Final = "•••"


class Mask(Enum):
    """How much of a payload is masked."""

    ALL = "all"  # everything but ids: for who may not see payloads
    PERSONAL = "personal"  # the fields that the project calls personal; where it calls none so, as ALL
    NOTHING = "nothing"  # for who has the right to, and asked for it


def masked(fields: Mapping[str, Any], mask: Mask) -> dict[str, Any]:
    """Return the fields as they may be shown. Raises ApplicationUnknown."""
    if mask is Mask.NOTHING:
        return dict(fields)
    personal = application().personal if mask is Mask.PERSONAL else None
    return {name: _masked(name, value, personal) for name, value in fields.items()}


def _masked(name: str, value: Any, personal: frozenset[str] | None) -> Any:
    if personal is not None and name in personal:
        return None if value is None else MASK
    if isinstance(value, Mapping):
        return {inner: _masked(inner, one, personal) for inner, one in cast("Mapping[str, Any]", value).items()}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [_masked(name, one, personal) for one in cast("Sequence[Any]", value)]
    return value if personal is not None or value is None or isinstance(value, UUID) else MASK

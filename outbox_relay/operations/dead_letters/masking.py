"""What of a payload and of headers an operator sees: personal data is masked, by the project's own list of fields.

A header is masked by the same rules as a field of its name. What the relay itself writes says which event it is, and
nothing of a person: it is shown to everybody.
"""

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any, Final, cast
from uuid import UUID

from waybill.application import application

MASK: Final = "•••"
# CloudEvents' attributes and the trace, as the relay writes them; and the metadata of an event that they come from.
ENVELOPE: Final = frozenset(
    {
        "ce_specversion",
        "ce_id",
        "ce_source",
        "ce_type",
        "ce_time",
        "ce_sequence",
        "ce_correlationid",
        "ce_causationid",
        "content-type",
        "traceparent",
        "tracestate",
        "correlation_id",
        "causation_id",
    }
)


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


def masked_headers(headers: Mapping[str, Any], mask: Mask) -> dict[str, Any]:
    """Return the headers as they may be shown; `Customer-Id` is the field `customer_id`. Raises ApplicationUnknown."""
    if mask is Mask.NOTHING:
        return dict(headers)
    personal = application().personal if mask is Mask.PERSONAL else None
    return {
        name: value if name.lower() in ENVELOPE else _masked(_field(name), _id(value), personal)
        for name, value in headers.items()
    }


def _field(header: str) -> str:
    return header.lower().replace("-", "_")


def _id(value: Any) -> Any:
    """Return a text that is an id as the id: headers have no types."""
    try:
        return UUID(value) if isinstance(value, str) else value
    except ValueError:
        return value


def _masked(name: str, value: Any, personal: frozenset[str] | None) -> Any:
    if personal is not None and name in personal:
        return None if value is None else MASK
    if isinstance(value, Mapping):
        return {inner: _masked(inner, one, personal) for inner, one in cast("Mapping[str, Any]", value).items()}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [_masked(name, one, personal) for one in cast("Sequence[Any]", value)]
    return value if personal is not None or value is None or isinstance(value, UUID) else MASK

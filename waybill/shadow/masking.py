"""What a sample shows of a difference: enough to find its cause, and nothing of a person.

A field is masked where its name, or that of a field around it, is among those that the project calls personal; where it
calls none so, every text is. What looks like an address or a secret is masked whatever its field is called. Of objects
and arrays only their size is shown. What is masked still tells its type and length, since that is often the mistake.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, cast

from waybill.shadow.comparison import Difference, kind_of

LONGEST: Final = 100
ALWAYS: Final = frozenset({"authorization", "cookie", "set_cookie", "password", "token", "secret"})
PERSONAL_TEXT: Final = re.compile(
    r"[^\s@]+@[^\s@]+\.\w+"  # a mail address
    r"|\+?\d(?:[ ()/.-]{0,2}\d){8,}"  # a phone's, a card's or an account's number
    r"|\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){3,}"  # IBAN
    r"|\beyJ[\w-]+\.[\w-]+\."  # JWT
)
HTTP_FACTS: Final = frozenset({"status", "body", "answer", "header content-type"})  # never anybody's


def masked(one: Difference, personal: Collection[str] | None) -> dict[str, Any]:
    """Return a difference as it may be kept."""
    if one.field in HTTP_FACTS:
        pair = _cut(one.control), _cut(one.candidate)
    else:
        is_personal = bool(one.names & (ALWAYS | set(personal or ())))
        pair = (
            _shown(one.control, is_personal=is_personal, told=personal is not None),
            _shown(one.candidate, is_personal=is_personal, told=personal is not None),
        )
    return {"field": one.field, "kind": one.kind, "control": pair[0], "candidate": pair[1]}


def _shown(value: Any, *, is_personal: bool, told: bool) -> Any:
    match value:
        case None | bool():
            return value
        case Mapping():
            return f"object of {len(cast('Mapping[str, Any]', value))}"
        case str():
            hidden = is_personal or not told or PERSONAL_TEXT.search(value)
            return f"••• (text of {len(value)})" if hidden else _cut(value)
        case Sequence():
            return f"array of {len(cast('Sequence[Any]', value))}"
        case _:
            hidden = is_personal or PERSONAL_TEXT.search(str(value))
            return f"••• ({kind_of(value)})" if hidden else _cut(value)


def _cut(value: Any) -> Any:
    if isinstance(value, int) and abs(value) < 2**53:  # every reader of JSON has these exactly
        return value
    text = str(value) if isinstance(value, str | Decimal | float | int) else value
    return text if not isinstance(text, str) or len(text) <= LONGEST else f"{text[:LONGEST]}…"

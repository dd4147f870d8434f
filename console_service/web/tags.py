"""What templates say: times, files, and links that keep the filter."""

import json
import re
from datetime import UTC, datetime
from typing import Any, Final

from django import template
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from console_service.web.assets import assets

register = template.Library()
LONGEST: Final = 300
SECONDS: Final = re.compile(r" for \d+(?:\.\d+)? s\b|; last one \d+ s ago")


@register.simple_tag
def asset(name: str) -> str:
    """Return the address of a static file."""
    return reverse("asset", args=[assets()[name].path])


@register.filter
def when(at: datetime | None) -> SafeString | str:
    """Say a time: in UTC, until `console.js` says it in the viewer's zone, with UTC on hover."""
    return _time(at, "when")


@register.filter
def ago(at: datetime | None) -> SafeString | str:
    """Say since when; `console.js` says how long that is."""
    return _time(at, "ago")


def _time(at: datetime | None, kind: str) -> SafeString | str:
    if at is None:
        return "-"
    utc = at.astimezone(UTC)
    return format_html(
        '<time class="{}" datetime="{}" title="{}">{}</time>',
        kind,
        utc.isoformat(),
        f"{utc:%Y-%m-%d %H:%M:%S} UTC",
        f"{utc:%Y-%m-%d %H:%M:%S} UTC",
    )


@register.filter
def money(amount: int | None, currency: str | None) -> str:
    """Say an amount of minor units; all currencies of the shop but one have two digits."""
    if amount is None:
        return "-"
    return f"{amount} {currency}" if currency == "JPY" else f"{amount / 100:.2f} {currency or ''}".strip()


@register.filter
def shortened(what: Any) -> str:
    """Say a recorded detail on a line."""
    text = json.dumps(what, ensure_ascii=False, default=str)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


@register.filter
def timeless(says: str) -> str:
    """Say a sentence without the seconds that each look counts anew."""
    return SECONDS.sub("", says)


@register.filter
def item(mapping: Any, key: Any) -> Any:
    """Return a mapping's value; nothing where it has none."""
    return mapping.get(key, "")

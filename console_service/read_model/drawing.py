"""An order's events as SVG, made here: a timeline by the clock, and a sequence of who told whom what.

Both say by text what they draw, for whoever cannot see them; the table of events beside them has it all.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC
from typing import Final

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from console_service.models import EventRow

LANES: Final = ("order", "inventory", "payment", "notification")
WIDTH: Final = 900
LEFT: Final = 110
LANE_HEIGHT: Final = 36
STEP_HEIGHT: Final = 30
BAD: Final = frozenset({"StockRejected", "PaymentDeclined", "OrderCancelled", "NotificationFailed"})
WARN: Final = frozenset({"OrderCancellationStarted", "PaymentRefunded", "PaymentVoided", "StockReleased"})


def timeline(events: Sequence[EventRow]) -> SafeString:
    """Draw each event on its service's line, where it is between the first and the last one."""
    if not events:
        return format_html("{}", "")
    lanes = _lanes(events)
    first, last = events[0].recorded_at, events[-1].recorded_at
    seconds = (last - first).total_seconds()
    height = len(lanes) * LANE_HEIGHT + 34
    parts: list[SafeString] = []
    for lane, number in lanes.items():
        y = 20 + number * LANE_HEIGHT
        parts.append(format_html('<text x="0" y="{}">{}</text>', y + 4, lane))
        parts.append(format_html('<line class="lane" x1="{}" y1="{}" x2="{}" y2="{}"/>', LEFT, y, WIDTH - 10, y))
    for event in events:
        after = (event.recorded_at - first).total_seconds()
        x = LEFT + 10 + (after / seconds if seconds else 0) * (WIDTH - LEFT - 40)
        title = f"{event.event_type}, {after:.3f} s after the first event"
        parts.append(_dot(event, x, 20 + lanes[event.service] * LANE_HEIGHT, title))
    foot = f"{first.astimezone(UTC):%H:%M:%S} UTC, and {seconds:.3f} s on"
    parts.append(format_html('<text class="faint" x="{}" y="{}">{}</text>', LEFT, height - 6, foot))
    return _svg("timeline", height, f"{len(events)} events in {seconds:.3f} seconds", parts)


def sequence(events: Sequence[EventRow]) -> SafeString:
    """Draw each event from who wrote it to who wrote what it led to, one below the other."""
    if not events:
        return format_html("{}", "")
    lanes = _lanes(events)
    at = {lane: LEFT + 40 + number * (WIDTH - LEFT - 100) / max(1, len(lanes) - 1) for lane, number in lanes.items()}
    height = 40 + len(events) * STEP_HEIGHT
    parts: list[SafeString] = []
    for lane, x in at.items():
        parts.append(_text(x, 14, "middle", lane))
        parts.append(format_html('<line class="lane" x1="{}" y1="20" x2="{}" y2="{}"/>', _n(x), _n(x), height))
    for number, event in enumerate(events):
        y, begin = 44 + number * STEP_HEIGHT, at[event.service]
        parts.append(_dot(event, begin, y, event.event_type))
        ends = {at[led.service] for led in _led_to(event, events) if led.service != event.service}
        parts.extend(_arrow(begin, end, y) for end in sorted(ends))
        to_the_left = begin > WIDTH / 2
        shift, anchor = (-10, "end") if to_the_left else (10, "start")
        parts.append(_text(begin + shift, y - 6, anchor, event.event_type))
    return _svg("sequence", height, ", then ".join(event.event_type for event in events), parts)


def _led_to(event: EventRow, events: Sequence[EventRow]) -> list[EventRow]:
    return [one for one in events if one.causation_id == str(event.event_id)]


def _arrow(begin: float, end: float, y: int) -> SafeString:
    back = end + (-8 if end > begin else 8)
    head = f"{_n(end)},{y} {_n(back)},{y - 4} {_n(back)},{y + 4}"
    line = '<line x1="{}" y1="{}" x2="{}" y2="{}"/><polygon class="arrow" points="{}"/>'
    return format_html(line, _n(begin), y, _n(end), y, head)


def _dot(event: EventRow, x: float, y: int, title: str) -> SafeString:
    kind = "dot bad" if event.event_type in BAD else "dot warn" if event.event_type in WARN else "dot"
    return format_html('<circle class="{}" cx="{}" cy="{}" r="6"><title>{}</title></circle>', kind, _n(x), y, title)


def _text(x: float, y: int, anchor: str, says: str) -> SafeString:
    return format_html('<text x="{}" y="{}" text-anchor="{}">{}</text>', _n(x), y, anchor, says)


def _svg(name: str, height: int, says: str, parts: Iterable[SafeString]) -> SafeString:
    begin = '<svg role="img" viewBox="0 0 {} {}" width="{}" height="{}" aria-labelledby="{}"><title id="{}">{}</title>'
    inner = format_html_join("", "{}", ((part,) for part in parts))
    return format_html(f"{begin}{{}}</svg>", WIDTH, height, WIDTH, height, name, name, says, inner)


def _n(number: float) -> str:
    return f"{number:.1f}"


def _lanes(events: Sequence[EventRow]) -> Mapping[str, int]:
    there = {event.service for event in events}
    known = [lane for lane in LANES if lane in there]
    return {lane: number for number, lane in enumerate([*known, *sorted(there - set(known))])}

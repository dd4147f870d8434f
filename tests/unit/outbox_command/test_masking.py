"""Operators see payloads without what the project calls personal; where it calls nothing so, they see ids alone."""

from collections.abc import Callable, Iterator
from uuid import UUID

import pytest

from devstack.folder import CHECKOUT
from outbox_relay.operations.dead_letters.masking import MASK, Mask, masked, masked_headers
from waybill import application

ORDER = UUID(int=7)
FIELDS = {
    "order_id": ORDER,
    "name": "Ana",
    "absent": None,
    "total": 12,
    "gift": True,
    "lines": [{"sku": "LAMP", "name": "for Ana", "notes": ["a", "b"]}],
}


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Give what tells the library which fields are personal."""
    monkeypatch.setenv("WAYBILL_SCHEMAS", str(CHECKOUT / "schemas"))
    application.forget()
    yield lambda names: monkeypatch.setenv("WAYBILL_PERSONAL", names)
    monkeypatch.undo()
    application.forget()


def test_fields_that_are_called_personal_are_masked_at_any_depth(told: Callable[[str], None]):
    told("name, notes, absent")
    assert masked(FIELDS, Mask.PERSONAL) == FIELDS | {
        "name": MASK,
        "lines": [{"sku": "LAMP", "name": MASK, "notes": MASK}],
    }


@pytest.mark.usefixtures("told")
def test_where_nothing_is_called_personal_ids_alone_are_shown():
    hidden = masked(FIELDS, Mask.PERSONAL)
    assert hidden == masked(FIELDS, Mask.ALL)
    assert hidden == {
        "order_id": ORDER,
        "name": MASK,
        "absent": None,
        "total": MASK,
        "gift": MASK,
        "lines": [{"sku": MASK, "name": MASK, "notes": [MASK, MASK]}],
    }


def test_who_may_see_all_sees_all(told: Callable[[str], None]):
    told("name")
    assert masked(FIELDS, Mask.NOTHING) == FIELDS


HEADERS = {
    "ce_type": "waybill.order.OrderPlaced",
    "ce_id": "0198c0de-7000-7000-8000-000000000001",
    "traceparent": "00-1-2-01",
    "Guest-Name": "Ana",
    "cell": "42",
    "shelf": "0198c0de-7000-7000-8000-000000000002",
    "empty": None,
}


def test_headers_are_masked_as_the_fields_of_their_names_are(told: Callable[[str], None]):
    told("guest_name, empty")
    assert masked_headers(HEADERS, Mask.PERSONAL) == {**HEADERS, "Guest-Name": MASK, "shelf": UUID(HEADERS["shelf"])}
    assert masked_headers(HEADERS, Mask.NOTHING) == HEADERS


@pytest.mark.usefixtures("told")
def test_who_may_not_see_payloads_sees_of_headers_the_events_own_and_ids():
    shown = masked_headers(HEADERS, Mask.ALL)
    assert shown == {**HEADERS, "Guest-Name": MASK, "cell": MASK, "shelf": UUID(HEADERS["shelf"])}
    assert masked_headers(HEADERS, Mask.PERSONAL) == shown  # nobody called anything personal

"""Which events a project applies is what its mapping says, and a mapping that names no event of it is refused."""

from uuid import UUID

import pytest
from django.core.exceptions import ImproperlyConfigured

from schemas.events import OrderCancelled, OrderPlaced
from waybill.migrate.handlers import appliers
from waybill.migrate.mapping import document

MAPPING = f"""
namespace = "{UUID(int=7)}"
[aggregates.told]
table = "told"
key = "id"
event = "waybill.order.OrderConfirmed"
fields = {{}}
[aggregates.booking]
table = "booking"
key = "id"
event = "waybill.order.OrderPlaced"
fields = {{}}
deleted = {{ event = "waybill.order.OrderCancelled", fields = {{}} }}
apply = {{}}
"""


@pytest.fixture
def applied(tmp_path):
    def find(text):
        (tmp_path / "migrate.toml").write_text(text)
        return list(appliers(document.load(tmp_path / "migrate.toml"), "there"))

    return find


def test_states_and_deletions_of_what_is_applied_have_one_handler_and_nothing_else_has(applied):
    (stored, first), (removed, second) = applied(MAPPING)
    assert (stored, removed, first is second) == (OrderPlaced, OrderCancelled, True)


def test_an_event_that_nobody_has_is_refused_by_name(applied):
    with pytest.raises(ImproperlyConfigured, match=r"booking: there is no event waybill\.order\.OrderPlaces"):
        applied(MAPPING.replace("OrderPlaced", "OrderPlaces"))

"""The console's read model names the steps of an order as the order's own saga does."""

from console_service.models import OPEN_STATUSES
from console_service.read_model.fold import STEPS
from console_service.screens import orders
from devstack.folder import CHECKOUT
from waybill.sagas import saga as sagas
from waybill.sagas.saga import short

SAGA = sagas.read(CHECKOUT / "schemas" / "saga.json")


def test_each_event_leads_to_the_step_that_the_saga_says():
    moves = [one for one in SAGA.transitions if one.aggregate == SAGA.aggregate and one.status != one.to]
    assert {short(one.event_type): one.to for one in moves} == STEPS


def test_the_steps_that_are_offered_and_those_that_end_are_the_sagas():
    assert set(orders.STEPS) == {one.to for one in SAGA.transitions if one.aggregate == SAGA.aggregate}
    assert set(SAGA.own.ends) == orders.ENDED == set(orders.STEPS) - set(OPEN_STATUSES)

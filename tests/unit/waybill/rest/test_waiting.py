import pytest
from django.test import RequestFactory

from waybill.rest.problem import Problem
from waybill.rest.streams import last_event_id
from waybill.rest.waiting import LONGEST_WAIT_SECONDS, wanted


@pytest.mark.parametrize(
    ("prefer", "seconds"),
    [
        ("wait=10", 10),
        ("respond-async, wait = 10", 10),
        ("WAIT=3; foo=bar", 3),
        ("wait=0", 0),
        ("wait=999999999", LONGEST_WAIT_SECONDS),
        ("wait", None),
        ("wait=-1", None),
        ("wait=1.5", None),
        ("wait=soon", None),
        ("await=10", None),
        ("wait=10000000000", None),
        ("", None),
    ],
)
def test_a_preference_that_makes_no_sense_is_none(prefer, seconds):
    assert wanted(RequestFactory().get("/", headers={"Prefer": prefer})) == seconds


@pytest.mark.parametrize("given", ["x", "-1", "1.0", "٣", "1234567890", ""])
def test_an_id_that_no_event_has_is_refused(given):
    with pytest.raises(Problem, match="Last-Event-ID"):
        last_event_id(RequestFactory().get("/", headers={"Last-Event-ID": given}))
    assert last_event_id(RequestFactory().get("/", headers={"Last-Event-ID": "7"})) == 7
    assert last_event_id(RequestFactory().get("/")) == 0

"""Refusals are counted by reasons from a closed set."""

from waybill.observability.exposure import REFUSALS
from waybill.rest.serving.refusals import REASONS


def test_each_reason_that_is_counted_is_exposed_from_the_start_and_no_other():
    assert set(REASONS.values()) == set(REFUSALS)

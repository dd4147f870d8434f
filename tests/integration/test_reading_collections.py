"""A read that would take too long ends, and says what to do about it."""

import time

import pytest
from django.db import connection
from django.test import RequestFactory

from order_service.models import OrderRow
from waybill.deciders.outcomes import Code
from waybill.rest.collections import Collection, anybody, reads
from waybill.rest.problem import Problem

LONG, SHORT = 5, 0.05


class Slow(Collection):
    longest_seconds = SHORT

    def rows(self, _request):
        return OrderRow.objects.extra(where=[f"(SELECT pg_sleep({LONG})) IS NOT NULL"])


def page(kind):
    ((path, view),) = [
        one for one in reads(kind(OrderRow, "orders", may=anybody)).path_operations.items() if "key" not in one[0]
    ]
    return view.operations[0].view_func(RequestFactory().get(path, {"count": "true"}))


@pytest.mark.usefixtures("order_database")
def test_a_read_that_takes_too_long_is_cut_off_and_the_session_is_as_before():
    assert page(Collection).status_code == 200
    began = time.monotonic()
    with pytest.raises(Problem) as raised:
        page(Slow)
    assert time.monotonic() - began < LONG
    assert (raised.value.status, raised.value.code) == (422, Code.TOO_EXPENSIVE)
    with connection.cursor() as cursor:
        cursor.execute("SHOW statement_timeout")
        assert cursor.fetchone() == ("1min",)

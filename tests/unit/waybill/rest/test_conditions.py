"""If-Match and If-None-Match, as RFC 9110 has them."""

import pytest
from django.test import RequestFactory

from waybill.rest.conditions import unchanged, when
from waybill.rest.problem import Problem


def asked(**headers):
    return RequestFactory().get("/", headers={name.replace("_", "-"): value for name, value in headers.items()})


@pytest.mark.parametrize("given", ['"3"', 'W/"3"', '"1", "3"', "*", ' "2" , W/"3" ', '"3+gzip"'])
def test_a_client_with_the_newest_gets_a_304_without_a_type(given):
    answer = unchanged(asked(If_None_Match=given), 3)
    assert answer.status_code == 304
    assert answer.headers["ETag"] == '"3"'
    assert "Content-Type" not in answer.headers


@pytest.mark.parametrize("given", ['"2"', "3", '"33"', 'W/"2"', '"3', ""])
def test_another_tag_is_answered_in_full(given):
    assert unchanged(asked(If_None_Match=given), 3) is None
    assert unchanged(asked(), 3) is None


@pytest.fixture
def no_transaction(monkeypatch):
    import contextlib

    monkeypatch.setattr("waybill.rest.conditions.transaction.atomic", contextlib.nullcontext)


@pytest.mark.parametrize(
    ("headers", "tag"),
    [
        ({"If_Match": '"3"'}, 3),
        ({"If_Match": '"3+gzip"'}, 3),
        ({"If_Match": "*"}, 3),
        ({"If_None_Match": "*"}, None),
        ({"If_None_Match": '"2"'}, 3),
        ({"If_Match": '"3"', "If_None_Match": '"2"'}, 3),
    ],
)
def test_a_change_is_made_where_its_condition_holds(no_transaction, headers, tag):
    assert when(asked(**headers), lambda: tag, lambda: "changed") == "changed"


@pytest.mark.parametrize(
    ("headers", "tag"),
    [
        ({"If_Match": '"2"'}, 3),
        ({"If_Match": 'W/"3"'}, 3),
        ({"If_Match": "*"}, None),
        ({"If_Match": ""}, 3),
        ({"If_None_Match": "*"}, 3),
        ({"If_None_Match": 'W/"3"'}, 3),
    ],
)
def test_a_change_for_another_state_is_a_412_and_is_not_made(no_transaction, headers, tag):
    with pytest.raises(Problem) as caught:
        when(asked(**headers), lambda: tag, pytest.fail)
    assert caught.value.status == 412


def test_a_change_without_a_condition_looks_at_nothing():
    assert when(asked(), pytest.fail, lambda: "changed") == "changed"

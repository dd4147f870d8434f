"""Every interleaving of the small scopes ends well."""

import pytest

from tests.model.__main__ import main
from tests.model.scopes import BOUND, SMALL
from tests.model.search import explore

ENDS = {
    "one": {"CONFIRMED COMMITTED CHARGED", "CANCELLED RELEASED VOIDED", "CANCELLED RELEASED REFUNDED"}
    | {"CANCELLED RELEASED DECLINED"},
    "free": {"CONFIRMED COMMITTED CHARGED", "CANCELLED RELEASED VOIDED"},
    "settled": {"CONFIRMED COMMITTED CHARGED", "CANCELLED RELEASED REFUNDED"},
    "two": {"CANCELLED REJECTED NONE", "CONFIRMED COMMITTED CHARGED"},
}


@pytest.mark.parametrize(
    "scope",
    [pytest.param(scope, id=scope.name, marks=() if scope.name in SMALL else pytest.mark.slow) for scope in BOUND],
)
def test_every_interleaving_keeps_the_promises_and_reaches_an_end(scope):
    found = explore(scope)
    assert found.fault is None, "\n".join([found.fault or "", *found.trace])
    assert found.ends >= ENDS.get(scope.name, set())


def test_a_scope_that_is_not_known_is_named(capsys):
    assert main(["seven"]) == 2
    assert capsys.readouterr().err.startswith("model: there is no scope seven; there are one, again, ")


def test_more_states_than_allowed_are_said(capsys):
    assert main(["one", "--most-states", "100"]) == 3
    assert "more than 100 states" in capsys.readouterr().err

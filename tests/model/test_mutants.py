"""The search finds what it is for: each seeded slip, and for the right reason."""

import pytest

from tests.model import __main__ as command
from tests.model.mutants import MUTANTS
from tests.model.search import explore


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name.replace(" ", "_"))
def test_a_changed_transition_is_found(mutant):
    with mutant.applied():
        found = explore(mutant.scope, most_states=5_000)
    assert mutant.caught in (found.fault or "nothing"), "\n".join([str(found.fault), *found.trace])


@pytest.mark.parametrize("scope", list(dict.fromkeys(m.scope for m in MUTANTS)), ids=lambda scope: scope.name)
def test_where_nothing_is_changed_nothing_is_found(scope):
    assert explore(scope, most_states=50_000).fault is None


def test_a_broken_promise_is_told_step_by_step(capsys, monkeypatch):
    refund_dropped = MUTANTS[0]
    monkeypatch.setattr(command, "BOUND", (refund_dropped.scope,))
    with refund_dropped.applied():
        assert command.main([]) == 1
    said = capsys.readouterr().out
    assert "BROKEN: an order stays CANCELLING" in said
    assert " a client cancels: OrderCancellationStarted\n" in said


def test_orders_keep_their_names_in_a_trace():
    oversold = next(mutant for mutant in MUTANTS if mutant.name.startswith("stock is held without"))
    with oversold.applied():
        found = explore(oversold.scope)
    assert sorted(found.trace) == [f"{name}: inventory reads OrderPlaced: StockReserved" for name in "AB"]

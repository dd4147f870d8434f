"""A mutant replaces a function that the product has: one that was renamed would leave it honest."""

from typing import Any

import httpx2 as httpx
import pytest

from outbox_relay.relay.cursor import Cursor
from tests.chaos.mutants import MUTANTS
from waybill.consumer import loop
from waybill.inbox import inbox
from waybill.outbox import outbox

PATCHED: tuple[Any, ...] = (loop, inbox, outbox, Cursor, httpx.Client)


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_replaces_one_function_that_is_there(name: str, monkeypatch: pytest.MonkeyPatch):
    before = [dict(vars(one)) for one in PATCHED]
    for one, names in zip(PATCHED, before, strict=True):
        for attribute, value in names.items():
            if callable(value) and not attribute.startswith("__"):
                monkeypatch.setattr(one, attribute, value)  # put back afterwards
    MUTANTS[name].apply()
    after = [dict(vars(one)) for one in PATCHED]
    replaced = [n for old, new in zip(before, after, strict=True) for n in new if new[n] is not old.get(n)]
    added = [n for old, new in zip(before, after, strict=True) for n in new if n not in old]
    assert len(replaced) == 1
    assert added == []

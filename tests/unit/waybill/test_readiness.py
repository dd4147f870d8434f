"""Which migrations a program waits for."""

from itertools import pairwise

import pytest
from django.db.migrations.graph import MigrationGraph

from waybill.observability.readiness import needed


def graph(*names: str) -> MigrationGraph:
    """A line of migrations of one app."""
    found = MigrationGraph()
    for name in names:
        found.add_node(("shop", name), None)
    for parent, child in pairwise(names):
        found.add_dependency(None, ("shop", child), ("shop", parent))
    return found


@pytest.mark.parametrize(
    ("names", "waits_for"),
    [
        (["0001_initial"], "0001_initial"),
        (["0001_initial", "0002_more"], "0002_more"),
        (["0001_initial", "0002_more", "0003_contract_less"], "0002_more"),
        (["0001_initial", "0002_contract_a", "0003_contract_b"], "0001_initial"),
        (["0001_initial", "0002_contract_a", "0003_more"], "0003_more"),
    ],
)
def test_a_program_is_ready_before_its_version_contracts(names, waits_for):
    assert needed(graph(*names)) == {("shop", waits_for)}

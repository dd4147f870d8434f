"""No version may be misread by code that was built for any other one."""

from pathlib import Path

import pytest

from schemas.compatibility import problems
from schemas.contracts import load
from tests.unit.schemas.samples import Change, Schema, add, remove, retype, write_versions

NOTE = {"name": "note", "type": ["null", "string"], "default": None}
V1, V2, V3 = (f"order.events.v1/OrderPlaced.v{number}.avsc" for number in (1, 2, 3))


def _retype_quantity(schema: Schema) -> None:
    schema["fields"][2]["type"]["items"]["fields"][1]["type"] = "long"


def _remove_quantity(schema: Schema) -> None:
    schema["fields"][2]["type"]["items"]["fields"].pop(1)


def test_the_contracts_of_today_fit() -> None:
    assert list(problems(load())) == []


def test_a_field_added_with_a_default_fits(tmp_path: Path) -> None:
    assert list(problems(load(write_versions(tmp_path, add(NOTE), remove("note"))))) == []


@pytest.mark.parametrize(
    ("change", "reader", "named"),
    [
        (remove("currency"), V1, "currency"),
        (add({"name": "note", "type": "string"}), V2, "note"),
        (retype("total", "string"), V1, "long not compatible with writer type: string"),
        (retype("total", "int"), V2, "int not compatible with writer type: long"),
        (retype("currency", ["null", "string"]), V1, "string not compatible with writer type: null"),
        (retype("order_id", "string"), V1, "order_id is a uuid here and a string there"),
        (_retype_quantity, V1, "int not compatible with writer type: long"),
        (_remove_quantity, V1, "quantity"),
    ],
    ids=["removed", "added", "retyped", "narrowed", "nullable", "no-uuid", "nested-widened", "nested-removed"],
)
def test_a_change_that_breaks_a_reader_is_found(tmp_path: Path, change: Change, reader: str, named: str) -> None:
    found = list(problems(load(write_versions(tmp_path, change))))
    assert any(line.startswith(f"{reader} cannot read") and named in line for line in found), found


def test_a_version_is_held_against_all_and_not_only_the_last(tmp_path: Path) -> None:
    root = write_versions(tmp_path, add(NOTE), lambda schema: (remove("note")(schema), retype("total", "int")(schema)))
    pairs = [line.split(" cannot read what ") for line in problems(load(root))]
    assert {reader for reader, _ in pairs} == {V3}
    assert {writes.partition(" writes")[0] for _, writes in pairs} == {V1, V2}


def test_a_private_event_may_change_as_long_as_its_history_stays_readable(tmp_path: Path) -> None:
    requested = "payment.private/PaymentRequested"
    assert list(problems(load(write_versions(tmp_path, remove("currency"), event=requested)))) == []


def test_the_history_of_a_private_event_stays_readable(tmp_path: Path) -> None:
    requested = "payment.private/PaymentRequested"
    root = write_versions(tmp_path, add({"name": "note", "type": "string"}), event=requested)
    (line,) = problems(load(root))
    assert line.startswith("payment.private/PaymentRequested.v2.avsc cannot read")

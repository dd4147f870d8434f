"""docs/tour.md walks where the code walks."""

import ast
import re

import pytest

from devstack.folder import CHECKOUT

TOUR = (CHECKOUT / "docs" / "tour.md").read_text()
README = (CHECKOUT / "README.md").read_text()
STOP = re.compile(r"^(?:- )?\[`(?P<file>[\w/.]+)`\]\(\.\./(?P<link>[\w/.]+)\): (?P<names>.+)$", re.MULTILINE)
PICTURE = re.compile(r"^    [1-7]  .+? ([\w/]+\.py) ", re.MULTILINE)
# What stands in a stop's file, by which it hands over to the next.
HANDS_OVER = [
    ("order_service/api.py", "handle(service, [Caused(command"),
    ("waybill/deciders/unit_of_work.py", "decision.decide(service, caused.command, rows)"),
    ("order_service/domain.py", "return [\n        OrderPlaced("),
    ("waybill/outbox/outbox.py", "INSERT INTO waybill_outbox"),
    ("outbox_relay/relay/session.py", "FROM waybill_outbox"),
    ("waybill/consumer/handling.py", "subscriber.react(event, message)"),
    ("inventory_service/reactions.py", "-> ReserveStock"),
]


def stops() -> list[re.Match[str]]:
    return list(STOP.finditer(TOUR))


def names_in(file: str) -> set[str]:
    """Every function, method and class of a module."""
    tree = ast.parse((CHECKOUT / file).read_text())
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)}


@pytest.mark.parametrize("stop", stops(), ids=lambda stop: stop["file"])
def test_a_stop_names_a_file_and_functions_that_exist(stop):
    assert stop["file"] == stop["link"]
    named = re.findall(r"`(\w+)`", stop["names"])
    assert named
    assert set(named) <= names_in(stop["file"])


def test_the_stops_are_in_the_sequence_of_the_picture():
    picture = PICTURE.findall(TOUR)
    assert len(picture) == 7
    assert [stop["file"] for stop in stops()][:7] == picture
    headings = re.findall(r"^## (\d)\.", TOUR, re.MULTILINE)
    assert headings == [str(n) for n in range(1, 9)]


def test_the_readme_shows_the_same_picture():
    assert PICTURE.findall(README) == PICTURE.findall(TOUR)


def test_each_hop_hands_over_to_the_next():
    assert [file for file, _ in HANDS_OVER] == PICTURE.findall(TOUR)
    for file, handing_over in HANDS_OVER:
        assert handing_over in (CHECKOUT / file).read_text(), file


def test_no_hop_knows_the_one_after_the_next():
    """The api knows no outbox, the decider no table, the reaction no unit of work."""
    for file, stranger in [
        ("order_service/api.py", "import append"),
        ("order_service/domain.py", "models"),
        ("waybill/outbox/outbox.py", "confluent_kafka"),
        ("inventory_service/reactions.py", "unit_of_work"),
    ]:
        assert stranger not in (CHECKOUT / file).read_text(), file


def test_the_files_and_commands_of_a_new_step_exist():
    for path in re.findall(r"`(tests/[\w/]+\.py)`", TOUR):
        assert (CHECKOUT / path).is_file(), path
    for module in re.findall(r"`python -m ([\w.]+)", TOUR):
        as_path = CHECKOUT / module.replace(".", "/")
        assert as_path.with_suffix(".py").is_file() or (as_path / "__main__.py").is_file(), module

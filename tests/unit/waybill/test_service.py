import dataclasses
import importlib
import types
import uuid

import pytest

from inventory_service.service import service as inventory
from order_service.service import service as order
from payment_service.service import service as payment
from schemas.events import OrderPlaced, StockReserved
from waybill.deciders.service import Service, after, on, settles
from waybill.testing.decisions import Told


def test_topics_follow_from_the_events_reacted_to():
    assert order.topics == ["inventory.events.v1", "inventory.products.v1", "payment.events.v1", "shop.orders.v1"]
    assert inventory.topics == ["order.events.v1", "shop.products.v1"]


def test_tables_follow_from_the_rows():
    assert set(inventory.tables) == {"product", "reservation"}
    assert set(order.tables) == {"order"}


def test_tasks_follow_from_the_worker():
    assert [task.name for task in order.due_after[OrderPlaced]] == ["expire_order"]
    assert inventory.tasks == {}


def test_two_reactions_to_one_event_are_refused():
    reactions = types.ModuleType("reactions")
    reactions.first = on(StockReserved)(lambda event: None)
    reactions.second = on(StockReserved)(lambda event: None)
    plan = Service("twice", types.ModuleType("d"), reactions, types.ModuleType("m"))
    with pytest.raises(TypeError, match="StockReserved"):
        _ = plan.reaction_to


def test_a_reaction_that_wants_the_version_is_given_it():
    reactions = types.ModuleType("reactions")

    @on(StockReserved)
    def stock_reserved(event: StockReserved, version: int) -> int:
        return version

    reactions.stock_reserved = stock_reserved
    plan = Service("told", types.ModuleType("d"), reactions, types.ModuleType("m"))
    event = StockReserved(order_id=uuid.UUID(int=1), lines=())
    assert plan.react(event, Told(version=7)) == 7


def test_a_service_says_which_task_an_operator_may_settle_and_only_one():
    assert payment.settles is not None
    task, _ = payment.settles
    assert task.name == "refund"
    assert order.settles is None
    worker = types.ModuleType("worker")
    worker.task = after(OrderPlaced)(lambda *_: None)
    worker.task.__name__ = "task"
    worker.first, worker.second = (settles(worker.task)(lambda *_: None) for _ in range(2))
    plan = Service("twice", types.ModuleType("d"), types.ModuleType("r"), types.ModuleType("m"), worker)
    with pytest.raises(TypeError, match="two tasks to settle"):
        _ = plan.settles


def test_the_files_that_decide_are_all_of_a_package(tmp_path, monkeypatch):
    (tmp_path / "parts").mkdir()
    for name, said in {"__init__": "from parts.told import Told\n", "told": "class Told: ...\n"}.items():
        (tmp_path / "parts" / f"{name}.py").write_text(said)
    monkeypatch.syspath_prepend(tmp_path)
    whole = dataclasses.replace(order, domain=importlib.import_module("parts"))
    domain = [tmp_path / "parts" / "__init__.py", tmp_path / "parts" / "told.py"]
    assert whole.files == [*domain, order.files[-1]]
    assert [file.name for file in order.files] == ["domain.py", "models.py"]

"""The unit of work on a real database does what the model does in memory: rows, versions, outbox and due rows."""

from collections import Counter, defaultdict
from dataclasses import replace
from typing import Any, get_args
from uuid import UUID

import pytest
from django.db import connection
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from notification_service.domain import Kind
from schemas.events import OrderImported, OrderLine, ProductImported, StockLine
from tests.model.services import SERVICES
from tests.support.databases import in_use
from tests.support.orders import cause
from waybill.deciders import rebuild
from waybill.deciders.outcomes import CommandRefused, Ignored
from waybill.deciders.service import Service
from waybill.deciders.unit_of_work import Caused, handle
from waybill.outbox import outbox
from waybill.testing.decisions import NO_ROW, Decisions

SKUS = ("BED", "LAMP")
FEW = st.integers(1, 2)
LINES = {
    "order_service": st.lists(st.sampled_from(SKUS), min_size=1, unique=True).map(
        lambda skus: tuple(OrderLine(sku=sku, quantity=1, unit_price=5) for sku in skus)
    ),
    "inventory_service": st.dictionaries(st.sampled_from(SKUS), FEW, min_size=1).map(
        lambda units: tuple(StockLine(sku=sku, quantity=quantity) for sku, quantity in units.items())
    ),
}
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "order_id": st.builds(UUID, int=FEW),
    "webhook_id": st.builds(UUID, int=FEW),
    "delivery_id": st.builds(UUID, int=FEW),
    "kinds": st.lists(st.sampled_from(Kind), min_size=1, unique=True).map(tuple),
    "sku": st.sampled_from(SKUS),
    "kind": st.sampled_from(Kind),
    "customer_id": st.just("ann"),
    "currency": st.just("EUR"),
    "amount": st.just(5),
    "unit_price": FEW,
    "quantity": FEW,
    "change": st.integers(-2, 2),
    "limit": st.just(4),
    "source_version": st.integers(1, 4),
}
# What the webshop tells; the command's own id is put in its place.
STANDS: dict[str, st.SearchStrategy[Any]] = {
    "ImportOrder": st.builds(
        OrderImported,
        **{name: FIELDS[name] for name in ("order_id", "customer_id", "currency", "source_version")},
        status=st.sampled_from(("PENDING", "CONFIRMED")),
        lines=LINES["order_service"],
        total=FEW,
        placed_at=st.just("2025-03-01T10:00:00.000000Z"),
        shipped_at=st.none(),
        provenance=st.just("snapshot"),
    ),
    "ImportProduct": st.builds(
        ProductImported,
        **{name: FIELDS[name] for name in ("sku", "unit_price", "currency", "source_version")},
        name=st.sampled_from(("one", "two")),
        on_hand=FEW,
        for_sale=st.booleans(),
        provenance=st.just("snapshot"),
    ),
}


def commands(service: Service) -> st.SearchStrategy[Any]:
    """Any command of a service, on few aggregates, so that they meet."""
    fields = {**FIELDS, "lines": LINES.get(service.name, st.nothing())}
    text = st.sampled_from(("one", "two"))
    return st.one_of(
        st.builds(
            kind,
            **{
                name: STANDS[kind.__name__] if name == "stands" else fields.get(name, text)
                for name in kind.__dataclass_fields__
            },
        )
        for kind in get_args(service.domain.Command)
    )


class Machine(RuleBasedStateMachine):
    """Batches of commands, in the database and in memory. Each example has aggregates of its own."""

    service: Service
    examples = 0

    def __init__(self) -> None:
        super().__init__()
        type(self).examples += 1
        self.decisions = Decisions(SERVICES)
        self.name = self.service.name.removesuffix("_service")
        self.rows: dict[tuple[str, str], int] = {}
        self.logs: defaultdict[tuple[str, str], list[Any]] = defaultdict(list)

    def own(self, command: Any) -> Any:
        """Return the command on an aggregate of this example."""
        changes: dict[str, Any] = {
            name: UUID(int=self.examples << 8 | getattr(command, name).int)
            for name in ("order_id", "webhook_id", "delivery_id")
            if hasattr(command, name)
        }
        if hasattr(command, "customer_id"):
            changes["customer_id"] = f"{command.customer_id}-{self.examples}"
        if hasattr(command, "sku"):
            changes["sku"] = f"{command.sku}-{self.examples}"
        if hasattr(command, "lines"):
            changes["lines"] = tuple(replace(line, sku=f"{line.sku}-{self.examples}") for line in command.lines)
        if hasattr(command, "stands"):
            own = {name: changes[name] for name in ("order_id", "sku") if name in changes}
            changes["stands"] = replace(command.stands, **own)
        return replace(command, **changes)

    def follow(self, batch: list[Any]) -> tuple[list[Any], list[tuple[int, ...]]]:
        """Do in memory what can be done; returns the commands that were not refused, and their events."""
        taken, decided = [], []
        for command in batch:
            places = [(kind, str(key)) for kind, keys in command.rows().items() for key in keys]
            before = tuple((place, self.rows.get(place, NO_ROW)) for place in places)
            outcome = self.decisions.handle(self.name, self.decisions.commands(command), before)
            if not outcome.refused:
                self.rows.update(outcome.changed)
                taken.append(command)
                decided.append(outcome.events)
        for event in (self.decisions.events[number] for events in decided for number in events):
            self.logs[event.aggregate_type, event.aggregate_id].append(event)
        return taken, decided

    def a_batch(self, batch: list[Any]) -> None:
        """Hand the same commands to both: all of them, and where one is refused, the rest without those."""
        batch = [self.own(command) for command in batch]
        taken, expected = self.follow(batch)
        if len(taken) < len(batch):
            with pytest.raises(CommandRefused):
                handle(self.service, [Caused(command, cause()) for command in batch])
        for handled, events in zip(
            handle(self.service, [Caused(command, cause()) for command in taken]), expected, strict=True
        ):
            given = () if isinstance(handled.decision, Ignored) else tuple(handled.decision)
            assert given == tuple(self.decisions.events[number] for number in events)

    @invariant()
    def rows_are_what_the_model_says(self) -> None:
        for kind, table in self.service.tables.items():
            keys = [key for of, key in self.rows if of == kind]
            found = {str(row.pk): self.decisions.number(row) for row in table.objects.filter(pk__in=keys)}
            assert found == {key: number for (of, key), number in self.rows.items() if of == kind and number != NO_ROW}

    @invariant()
    def the_outbox_has_each_event_once_and_in_sequence(self) -> None:
        for (kind, key), events in self.logs.items():
            recorded = outbox.history(kind, key)
            assert [(one.version, one.event) for one in recorded] == list(enumerate(events, 1))

    @invariant()
    def what_was_asked_for_is_due_once(self) -> None:
        asked = Counter(
            task.name for log in self.logs.values() for e in log for task in self.service.due_after.get(type(e), ())
        )
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT task, count(*) FROM waybill_due_task JOIN waybill_outbox USING (event_id) "
                "WHERE aggregate_id = ANY(%s) GROUP BY 1",
                [[key for _, key in self.logs]],
            )
            assert dict(cursor.fetchall()) == asked


def machine(service: Service) -> type[Machine]:
    """Give the machine of one service."""
    batches = rule(batch=st.lists(commands(service), min_size=1, max_size=4))
    return type("ServiceMachine", (Machine,), {"service": service, "handled": batches(Machine.a_batch)})


@pytest.mark.slow
@pytest.mark.parametrize("service", SERVICES.values(), ids=lambda service: service.name)
def test_the_unit_of_work_does_what_the_model_does(service, database_server):
    with database_server.fresh(service.name) as database, in_use(database.service_url):
        run_state_machine_as_test(
            machine(service),
            settings=settings(
                max_examples=20,
                stateful_step_count=20,
                derandomize=True,
                deadline=None,
                database=None,
                phases=[Phase.generate],  # to shrink a failure takes minutes of transactions
                suppress_health_check=list(HealthCheck),
            ),
        )
        different: list[rebuild.Difference] = []
        assert rebuild.check(service, rebuild.UNWATCHED, different.append) > 30
        assert different == []

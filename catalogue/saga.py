"""docs/saga.md and schemas/saga.json, by deciding every command in every state."""

import dataclasses
import re
import typing
from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from enum import StrEnum
from types import ModuleType
from typing import Any, NamedTuple, cast
from uuid import UUID

from catalogue.book import SERVICES, plan
from devstack.folder import CHECKOUT
from inventory_service import domain as inventory
from notification_service import domain as notification
from order_service import domain as orders
from payment_service import domain as payment
from schemas.events import EVENTS, OrderImported, OrderLine, ProductImported, StockLine
from waybill.contracts.contracts import load
from waybill.contracts.topics import topics
from waybill.deciders.outcomes import Ignored, Refused
from waybill.deciders.service import Domain, command_of
from waybill.sagas.deriving import Decided, Explored, decided, derive, keys_of
from waybill.sagas.saga import Saga

PAGE = CHECKOUT / "docs" / "saga.md"
TABLE = CHECKOUT / "schemas" / "saga.json"
OWN = "order"  # whose steps the saga's are
HOUR = 60  # minutes
ID = UUID(int=1)
WEBHOOK = UUID(int=2)
LINES = {orders: (OrderLine(sku="LAMP", quantity=1, unit_price=5),), inventory: (StockLine(sku="LAMP", quantity=1),)}
IMPORTED = OrderImported(
    order_id=ID,
    customer_id="ann",
    status="PENDING",
    lines=(OrderLine(sku="LAMP", quantity=1, unit_price=5),),
    total=5,
    currency="EUR",
    placed_at="2026-11-21T11:48:33Z",
    provenance="snapshot",
    source_version=1,
)
SHOWN = ProductImported(
    sku="LAMP",
    name="Lamp",
    unit_price=5,
    currency="EUR",
    on_hand=2,
    for_sale=True,
    provenance="snapshot",
    source_version=1,
)
# What a command's field is, unless a variant says otherwise.
VALUES: dict[str, Any] = {
    "order_id": ID,
    "customer_id": "ann",
    "currency": "EUR",
    "payment_method": "tok_ok",
    "charge_id": "ch_1",
    "provider": "simulator",
    "refund_id": "re_1",
    "reference": "transfer 7",
    "code": "a_code",
    "amount": 5,
    "sku": "LAMP",
    "name": "Lamp",
    "unit_price": 5,
    "quantity": 1,
    "change": -1,
    "reason": "a reason",
    "limit": 2,
    "kind": notification.Kind.ORDER_CONFIRMED,
    "kinds": (notification.Kind.ORDER_CONFIRMED,),
    "source_version": 3,
    "webhook_id": WEBHOOK,
    "delivery_id": notification.delivery_id_of(WEBHOOK, ID, notification.Kind.ORDER_CONFIRMED),
}
STANDS: dict[type, Any] = {orders.ImportOrder: IMPORTED, inventory.ImportProduct: SHOWN}
# What else a command may say, where that makes a difference.
VARIANTS: dict[type, list[dict[str, Any]]] = {
    orders.PlaceOrder: [{"lines": (OrderLine(sku="LAMP", quantity=1, unit_price=2**63),)}],
    orders.ImportOrder: [{"stands": dataclasses.replace(IMPORTED, source_version=version)} for version in (2, 4)],
    inventory.ImportProduct: [
        {"stands": dataclasses.replace(SHOWN, source_version=2, for_sale=False)},
        {"stands": dataclasses.replace(SHOWN, source_version=4)},
    ],
    payment.RequestPayment: [{"amount": 0}],
    payment.SettleRefund: [{"reference": None}],
    inventory.ReviseProduct: [{"name": "Lantern"}, {"unit_price": 6}],
    inventory.CorrectStock: [{"change": 3}],
    notification.RecordDeliveryFailure: [{"code": notification.GONE}, {"code": notification.Stopped.WEBHOOK_DISABLED}],
}

HEAD = """\
# The saga

Generated from the code by `make docs`; do not edit. The tables are what `decide` says of every command in every state
that can be reached, the diagrams what `evolve` makes of the events.

An order is carried to exactly one end by four services that tell each other what happened. Nobody conducts: inventory
and payment react to the order's events only, the order reacts to theirs. So the order's own log is the one place
where holding, charging, confirming and cancelling are put in sequence, and a cancelled order is never charged by a late
message.

Every pair of command and status has an entry. A command either acts (these events, in this transaction), or is ignored
(nothing follows, and that is right), or is refused: a client then sees the code, and an event becomes a dead letter.
"""

INVARIANTS = """\
## What holds

At every moment, whatever comes late, twice, or in another sequence:

- An order that says CONFIRMED is charged once and not refunded, and its stock is held or sold. One that says CANCELLED
  holds no stock and owes no money, and no charge can come any more.
- An order of the webshop that was taken in (IMPORTED, ERASED) holds no stock, is never charged, and nobody is told.
- For every product: what came in is on hand or sold, and 0 <= reserved <= on hand.
- Every row is the fold of its events, with versions 1 to n.
- No event is refused: what is a dead letter is one by a defect, never by a race.

And once nothing more happens by itself:

- Every order is CONFIRMED with all of its lines sold, at the total it was placed at, or CANCELLED.
- Its customer has been told each piece of news once.
- The price list is what the inventory sells at.

From every state such an end is reached by deliveries and workers alone: no client, deadline or repeat has to help.
"""

DEADLINES = """\
## Deadlines

An order that is still PENDING or RESERVED at its deadline is cancelled, whatever it waits for: deadline and
cancellation are one transaction. The deadline is a due row by the database's clock, written with the order; what a
worker has to do at once is a due row too. A row goes with the command that says what came of it, and until then comes
again with a growing pause: nothing that is due is ever dropped. What only an operator can end is marked for one, and
tried on.
"""

SEARCH = """\
## How this is shown

`make model` goes through every state of small scopes, which it names, breadth first, over the real `decide`, `evolve`,
reactions and workers' attempts; only database, broker and the outside are left out. Messages of one topic and key stay
in sequence, everything else happens in any. The provider follows the rules of `devstack/simulators/provider.py`, and
`tests/model/test_outside.py` holds both against each other. `tests/model/test_mutants.py` changes one transition at a
time and expects the search to find it; `tests/integration/test_model_on_the_database.py` runs the same commands through
the unit of work. No fault of the saga itself was found. What the search showed on the way:

- A refund that the provider answered with a stored error, and did not pay, can be paid once the provider has forgotten
  the key, a day later. Until then it needs attention, and the order stays CANCELLING.
- A void has to look up the provider's charges: under the key alone, a charge older than the provider's key retention
  is voided on paper and stays charged.
- To cancel an order after one half of its compensation breaks nothing that is seen once the order is final, and still
  tells a customer that nothing is charged while it is. So the promises above hold at every moment, and are searched for
  at every moment.
- A dead letter delays its key and does no more: a reader with dead letters reaches the same ends as one that is slow.
- The price list ended right only because a topic that is read again is read to its end; until then it showed old
  prices. So a copy carries the version that it is from, and an older one changes nothing.

"""


class Taken(NamedTuple):
    """One decision in the page's words."""

    before: str
    command: type
    said: str
    path: tuple[tuple[str, str, str], ...]
    """Status, event, status, for each event of the aggregate."""


class Aggregate(NamedTuple):
    """One kind of aggregate, as the page tells of it."""

    title: str
    domain: ModuleType
    statuses: type[StrEnum]
    commands: Sequence[type]
    start: Any
    kind: str


def aggregates() -> list[Aggregate]:
    """Return what the page tells of."""
    stock = inventory.Stock(
        reservation=inventory.Reservation(order_id=ID), products={"LAMP": inventory.Product(sku="LAMP")}
    )
    told = notification.Told(
        notices=notification.Notices(order_id=ID), subscriber=notification.Subscriber(customer_id=VALUES["customer_id"])
    )
    of = typing.get_args
    return [
        Aggregate("Order", orders, orders.Status, of(orders.Command), orders.Order(order_id=ID), "order"),
        Aggregate(
            "Reservation",
            inventory,
            inventory.ReservationStatus,
            of(inventory.ReservationCommands),
            stock,
            "reservation",
        ),
        Aggregate("Product", inventory, inventory.ProductStatus, of(inventory.ProductCommands), stock, "product"),
        Aggregate("Payment", payment, payment.Status, of(payment.Command), payment.Payment(order_id=ID), "payment"),
        Aggregate(
            "Notification, of each kind",
            notification,
            notification.Status,
            of(notification.NoticeCommands),
            told,
            "notification",
        ),
        Aggregate(
            "Webhook", notification, notification.WebhookStatus, of(notification.WebhookCommands), told, "subscriber"
        ),
        Aggregate(
            "Delivery to a webhook",
            notification,
            notification.DeliveryStatus,
            of(notification.DeliveryCommands),
            told,
            "delivery",
        ),
    ]


def samples(domain: ModuleType) -> list[Any]:
    """Return every command of a service, once for each difference that it can make."""
    made: list[Any] = []
    for kind in typing.get_args(domain.Command):
        fields = {field.name: field for field in dataclasses.fields(kind)}
        known = {**VALUES, "lines": LINES.get(domain), "stands": STANDS.get(kind)}
        unknown = [n for n, f in fields.items() if n not in known and f.default is dataclasses.MISSING]
        if unknown:
            raise SystemExit(f"catalogue/saga.py: say a value for {kind.__name__}.{unknown[0]} in VALUES")
        given = {n: known[n] for n, f in fields.items() if n in known and f.default is dataclasses.MISSING}
        made += [kind(**{**given, **variant}) for variant in ({}, *VARIANTS.get(kind, []))]
    return made


def explored(aggregate: Aggregate) -> Explored:
    """Return the aggregate as what it can become is found out."""
    return Explored(
        aggregate.kind,
        cast("Domain", aggregate.domain),
        aggregate.start,
        samples(aggregate.domain),
        aggregate.commands,
        lambda state: str(status(aggregate, state)),
    )


def taken(found: Iterable[Decided]) -> list[Taken]:
    """Return the decisions in the page's words, each once."""
    return list(dict.fromkeys(map(_taken, found)))


def _taken(one: Decided) -> Taken:
    match one.decision:
        case Ignored(reason=reason):
            said = f"ignored: {reason}"
        case Refused(code=code, detail=detail):
            said = f"refused, `{code}`: {_plain(detail, one.before)}"
        case events:
            said = ", ".join(type(event).__name__ for event in events)
            if one.after != one.before:
                said += f" → {one.after}"
    path = tuple((before, event.__name__, after) for before, event, after in one.path)
    return Taken(one.before, type(one.command), said, path)


def derived() -> Saga:
    """Return the saga as `schemas/saga.json` has it: of the aggregates that have an order's key."""
    keys = keys_of([contract.schema for contract in load()])
    parts = [explored(one) for one in aggregates() if keys[one.kind] == keys[OWN]]
    others = {topic.name for topic in topics() if topic.written_by}
    own = [event for event in EVENTS.values() if event.topic not in others]
    return derive(OWN, [plan(name) for name in SERVICES], parts, own)


def status(aggregate: Aggregate, state: Any) -> str:
    """Return where the aggregate stands."""
    match aggregate.kind:
        case "reservation":
            return state.reservation.status
        case "product":
            return state.products["LAMP"].status
        case "notification":
            return state.notice(VALUES["kind"])
        case "subscriber":
            return state.webhook(WEBHOOK)
        case "delivery":
            return state.delivery(VALUES["delivery_id"])
        case _:
            return state.status


def _plain(detail: str, status_now: str) -> str:
    """Leave out what differs from case to case."""
    for one in (ID, WEBHOOK, VALUES["delivery_id"]):
        detail = detail.replace(str(one), "…")
    return re.sub(r"LAMP|-?\b\d+\b", "…", detail.replace(f" {status_now}", " …"))


def table(aggregate: Aggregate, found: Sequence[Taken]) -> Iterator[str]:
    """Yield the table of an aggregate: statuses with the same outcome share a row."""
    yield "| Command | In | Comes of it |\n|---|---|---|"
    for command in aggregate.commands:
        name = f"`{command.__name__}`"
        outcomes: dict[str, list[str]] = {}
        for one in aggregate.statuses:
            said = sorted({t.said for t in found if t.command is command and t.before == one}, key=_acts_first)
            if said:
                outcomes.setdefault("; or ".join(said), []).append(one.value)
        for said, statuses in outcomes.items():
            yield f"| {name} | {', '.join(statuses)} | {said} |"
            name = ""


def _acts_first(said: str) -> tuple[int, str]:
    return said.startswith("ignored") + 2 * said.startswith("refused"), said


def diagram(found: Sequence[Taken]) -> Iterator[str]:
    """Yield the state diagram of an aggregate."""
    edges: dict[tuple[str, str], dict[str, None]] = {}
    for one in found:
        for before, event, after in one.path:
            edges.setdefault((before, after), {})[event] = None
    yield "```mermaid\nstateDiagram-v2"
    for (before, after), events in edges.items():
        yield f"    {_node(before)} --> {_node(after)}: {', '.join(events)}"
    ends = {after for _, after in edges} - {before for before, after in edges if before != after}
    for end in sorted(ends):
        yield f"    {_node(end)} --> [*]"
    yield "```"


def _node(name: str) -> str:
    return "[*]" if name == "NONE" else str(name)


def reactions() -> Iterator[str]:
    """Yield who reacts to what, from the docstrings of the reactions."""
    yield "| Service | On | Becomes | |\n|---|---|---|---|"
    for service in map(plan, SERVICES):
        for event, reaction in service.reaction_to.values():
            yield f"| {_short(service)} | {event.__name__} | `{command_of(reaction).__name__}` | {_line(reaction)} |"


def due() -> Iterator[str]:
    """Yield what falls due, and when."""
    yield "| Service | Asked for by | Due | Does |\n|---|---|---|---|"
    for service in map(plan, SERVICES):
        for name, task in service.tasks.items():
            when = _after(task.delay) if task.delay else "at once"
            yield f"| {_short(service)} | {task.event.__name__} | {when} | `{name}`: {_line(task.attempt)} |"


def _after(delay: timedelta) -> str:
    minutes = int(delay.total_seconds()) // 60
    return f"after {minutes} minutes, or as set" if minutes < 2 * HOUR else f"after {minutes // HOUR} hours, or as set"


def _short(service: Any) -> str:
    return service.name.removesuffix("_service")


def _line(function: Any) -> str:
    return (function.__doc__ or "").splitlines()[0]


def page() -> str:
    """Return the text of docs/saga.md."""
    parts = [HEAD, INVARIANTS, "## Who reacts to what\n", *reactions(), "", DEADLINES, *due(), ""]
    for aggregate in aggregates():
        found = taken(decided(explored(aggregate)))
        parts += [f"## {aggregate.title}\n", *diagram(found), "", *table(aggregate, found), ""]
    return "\n".join([*parts, SEARCH.rstrip("\n")]) + "\n"

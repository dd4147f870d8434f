"""What is explored: each scope is a bounded state space, in which everything that it allows happens at every point."""

from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from inventory_service.domain import CorrectStock, DelistProduct, ReceiveStock, ReviseProduct
from schemas.events import OrderErased, OrderRecorded, RecordedLine
from waybill.contracts.event import Event

Basket = tuple[tuple[str, int], ...]  # SKU, units
LAMP: Basket = (("LAMP", 1),)
THREE: Basket = (("BED", 1), ("DESK", 2), ("LAMP", 1))
ACROSS: Basket = (("BED", 1), ("DESK", 1), ("LAMP", 2))
LIMIT = 1_000


@dataclass(frozen=True, kw_only=True)
class Scope:
    """A bounded state space: what is in it, and what may happen."""

    name: str
    says: str
    baskets: tuple[Basket, ...]
    stock: tuple[tuple[str, int], ...]
    price: int = 100
    """Of each unit, in minor units."""
    placed: bool = True
    """Orders stand placed from the start; otherwise a client places each at any point."""
    again: bool = False
    """Every reader may get each message again, at any time, any number of times, past the inbox."""
    cancels: bool = True
    deadline: bool = False
    lost: bool = True
    """Calls to the outside never arrive, or their answers are lost, any number of times."""
    overlapping: int = 0
    """Calls beside the first one for the same due row."""
    errors: bool = False
    """The provider answers with errors that it stores, and forgets its keys after a day; the deadline always comes."""
    settles: bool = False
    """An operator may settle the payment at any point at which the provider's ledger shows no refund."""
    dead_letters: bool = False
    """The handling of any message may fail: it becomes a dead letter, redriven at any point."""
    mail: bool = False
    staff: tuple[tuple[Any, ...], ...] = ()
    """What each of the staff does, one after the other."""
    rewinds: int = 0
    """How often the price list is read again from any earlier place on."""
    told: tuple[Event, ...] = ()
    """What the webshop tells of the order, first to last, no event twice; it is then placed by nobody here."""


def _revised(price: int) -> ReviseProduct:
    return ReviseProduct(sku="LAMP", name="Lamp", unit_price=price, currency="EUR")


PRICED = (_revised(200), DelistProduct(sku="LAMP"), _revised(300))
COUNTED = (
    CorrectStock(sku="LAMP", change=-1, reason="count", limit=LIMIT),
    ReceiveStock(sku="LAMP", quantity=2, reason="delivery", limit=LIMIT),
    CorrectStock(sku="LAMP", change=-2, reason="count", limit=LIMIT),
)

WEBSHOP = OrderRecorded(
    order_id=UUID(int=1),
    customer_id="ann",
    status="PENDING",
    lines=(RecordedLine(sku="LAMP", quantity=1, unit_price=100),),
    total=100,
    currency="EUR",
    placed_at="2025-03-01T10:00:00.000000Z",
    provenance="snapshot",
)
SHIPPED = replace(WEBSHOP, status="CONFIRMED", shipped_at="2025-03-02T10:00:00.000000Z")
CANCELLED = replace(WEBSHOP, status="CANCELLED")
ERASED = OrderErased(order_id=UUID(int=1))
AGAIN = replace(WEBSHOP, placed_at="2025-04-01T10:00:00.000000Z")

BOUND = (
    Scope(
        name="one",
        says="one order: cancel, lost answers, two overlapping calls",
        baskets=(LAMP,),
        stock=(("LAMP", 1),),
        overlapping=1,
    ),
    Scope(
        name="again",
        says="one order: cancel, deadline, lost answers; any message again, past the inbox, any number of times",
        baskets=(LAMP,),
        stock=(("LAMP", 1),),
        again=True,
        deadline=True,
    ),
    Scope(
        name="provider",
        says="one order at a provider that stores errors and forgets its keys: cancel, deadline, lost answers",
        baskets=(LAMP,),
        stock=(("LAMP", 1),),
        deadline=True,
        errors=True,
    ),
    Scope(
        name="free",
        says="one order that costs nothing: cancel, deadline, lost answers",
        baskets=(LAMP,),
        stock=(("LAMP", 1),),
        price=0,
        deadline=True,
    ),
    Scope(
        name="settled",
        says="one order whose refund an operator settles: cancel, lost answers, mails",
        baskets=(LAMP,),
        stock=(("LAMP", 1),),
        settles=True,
        mail=True,
    ),
    Scope(
        name="two",
        says="two orders and one unit: cancel",
        baskets=(LAMP, LAMP),
        stock=(("LAMP", 1),),
        lost=False,
    ),
    Scope(
        name="three",
        says="three orders and two units",
        baskets=(LAMP, LAMP, LAMP),
        stock=(("LAMP", 2),),
        cancels=False,
        lost=False,
    ),
    Scope(
        name="dead-letters",
        says="one order: any message becomes a dead letter, is redriven, and comes again; cancel, deadline",
        baskets=(LAMP,),
        stock=(("LAMP", 1),),
        dead_letters=True,
        again=True,
        deadline=True,
        lost=False,
    ),
    Scope(
        name="mail",
        says="one order and its mails: any message again, lost answers, cancel",
        baskets=(LAMP,),
        stock=(("LAMP", 1),),
        mail=True,
        again=True,
        lost=True,
    ),
    Scope(
        name="lines",
        says="two orders of three lines, in another sequence, where one line is short: cancel",
        baskets=(THREE, ACROSS),
        stock=(("BED", 2), ("DESK", 2), ("LAMP", 3)),
        lost=False,
    ),
    Scope(
        name="products",
        says="an order placed at any point, while its product is repriced, delisted, listed, counted and restocked",
        baskets=(LAMP,),
        stock=(("LAMP", 1),),
        placed=False,
        staff=(PRICED, COUNTED),
        rewinds=1,
        lost=False,
    ),
    Scope(
        name="webshop",
        says="an order of the webshop, open, shipped, cancelled, erased, there again; any message again; cancel, mails",
        baskets=(LAMP,),
        stock=(("LAMP", 1),),
        placed=False,
        told=(WEBSHOP, SHIPPED, CANCELLED, ERASED, AGAIN),
        again=True,
        dead_letters=True,
        deadline=True,
        mail=True,
        lost=False,
    ),
)
# Thousands of states, seconds each; the others have a hundred thousand and more.
SMALL = frozenset({"again", "webshop", "provider", "free", "two", "three", "dead-letters", "lines"})
_named = {scope.name: scope for scope in BOUND}


def _deeper(name: str, says: str, **changes: Any) -> Scope:
    return replace(_named[name], name=f"{name}-deep", says=says, **changes)


DEEP = (
    _deeper("one", "the same with a deadline, and any message again", deadline=True, again=True),
    _deeper("again", "the same with mails", mail=True),
    _deeper("provider", "the same with any message again", again=True),
    _deeper("two", "the same with lost answers", lost=True),
    _deeper("dead-letters", "the same with lost answers", lost=True),
    _deeper("products", "the same with two orders that nobody cancels", baskets=(LAMP, LAMP), cancels=False),
)

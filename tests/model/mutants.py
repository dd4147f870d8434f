"""Slips that the search must find: each is the real code with one transition changed."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import wraps
from typing import Any
from unittest.mock import patch

from inventory_service import domain as inventory
from notification_service import domain as notification
from order_service import domain as orders
from order_service import reactions as order_reactions
from payment_service import domain as payment
from payment_service import provider
from payment_service import reactions as payment_reactions
from payment_service.provider import asking
from schemas.events import (
    OrderCancelled,
    OrderConfirmed,
    OrderPlaced,
    PaymentRefundRequested,
    PaymentVoided,
    StockCommitted,
    StockCorrected,
    StockReleased,
    StockReserved,
)
from tests.model.scopes import ACROSS, CANCELLED, COUNTED, ERASED, LAMP, PRICED, SHIPPED, THREE, WEBSHOP, Scope
from waybill.deciders.outcomes import Ignored, Unavailable

PLAIN = Scope(name="plain", says="one order, cancelled at any point", baskets=(LAMP,), stock=(("LAMP", 1),), lost=False)
SOLD_OUT = replace(PLAIN, name="sold out", stock=(("LAMP", 0),))
AGAIN = replace(PLAIN, name="again", again=True)
LATE = replace(PLAIN, name="late", deadline=True, cancels=False)
RACE = replace(PLAIN, name="race", baskets=(LAMP, LAMP), cancels=False)
TOLD = replace(PLAIN, name="told", again=True, mail=True, cancels=False)
LINES = replace(
    PLAIN, name="lines", baskets=(THREE, ACROSS), stock=(("BED", 2), ("DESK", 2), ("LAMP", 3)), cancels=False
)
COUNTING = replace(PLAIN, name="counting", staff=(COUNTED,), cancels=False)
PRICING = replace(PLAIN, name="pricing", staff=(PRICED,), cancels=False, placed=False)
FORGETFUL = replace(PLAIN, name="forgetful", cancels=False, deadline=True, errors=True)
FREE = replace(PLAIN, name="free", price=0)
SETTLED = replace(PLAIN, name="settled", settles=True)
IMPORTED = replace(PLAIN, name="imported", placed=False, mail=True, told=(WEBSHOP, SHIPPED, CANCELLED))
OPEN_THERE = replace(IMPORTED, name="open there", told=(WEBSHOP,))
DROPPED = Ignored("a mutant")


@dataclass(frozen=True)
class Mutant:
    """A changed function, the smallest scope that shows it, and what the search must say."""

    name: str
    module: Any
    function: str
    change: Callable[[Callable[..., Any]], Callable[..., Any]]
    scope: Scope
    caught: str
    beside: tuple[tuple[Any, str, Callable[[Callable[..., Any]], Callable[..., Any]]], ...] = ()
    """What else has to change for the slip to be one."""

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Put the changed functions in the place of the real ones."""
        with ExitStack() as changed:
            for module, function, change in ((self.module, self.function, self.change), *self.beside):
                real = getattr(module, function)
                changed.enter_context(patch.object(module, function, wraps(real)(change(real))))
            yield


def decides(
    kind: type, status: str, instead: Callable[[Any, Any, Callable[..., Any]], Any]
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Change what is decided on one kind of command in one status."""

    def change(real: Callable[..., Any]) -> Callable[..., Any]:
        def mutated(command: Any, state: Any) -> Any:
            if isinstance(command, kind) and _status(command, state) == status:
                return instead(command, state, real)
            return real(command, state)

        return mutated

    return change


def evolves(
    kind: type, instead: Callable[[Any, Any, Callable[..., Any]], Any]
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Change what follows from one kind of event."""

    def change(real: Callable[..., Any]) -> Callable[..., Any]:
        return lambda state, event: instead(state, event, real) if isinstance(event, kind) else real(state, event)

    return change


def gives(instead: Callable[..., Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Change a function as a whole."""
    return lambda real: lambda *args: instead(*args, real)


def _status(command: Any, state: Any) -> str:
    if isinstance(state, inventory.Stock):
        return state.reservation.status if state.reservation else state.products[command.sku].status
    if isinstance(state, notification.Told):
        return state.notice(command.kind)
    return state.status


def _as_if(status: Any) -> Callable[[Any, Any, Callable[..., Any]], Any]:
    return lambda command, state, real: real(command, replace(state, status=status))


def _says_nothing() -> None:
    raise Unavailable("a mutant")


def _as_placed_here(command: Any, _: Any, __: Any) -> Any:
    stands = command.stands
    return [
        OrderPlaced(
            order_id=stands.order_id,
            customer_id=stands.customer_id,
            lines=stands.lines,
            total=stands.total,
            currency=stands.currency,
            payment_method="tok",
        )
    ]


def _as_confirmed_here(command: Any, state: Any, real: Any) -> Any:
    stands, told = command.stands, real(command, state)
    if not isinstance(told, list) or stands.status != "CONFIRMED":
        return told
    fields = {name: getattr(stands, name) for name in ("order_id", "customer_id", "lines", "total", "currency")}
    return [*told, OrderConfirmed(**fields)]


def _as_cancelled_here(command: Any, state: Any, real: Any) -> Any:
    stands, told = command.stands, real(command, state)
    if not isinstance(told, list) or stands.status != "CANCELLED":
        return told
    return [*told, OrderCancelled(order_id=stands.order_id, customer_id=stands.customer_id, reason="CUSTOMER_REQUEST")]


def _released_blindly(command: Any, state: Any, _: Any) -> Any:
    return [StockReleased(order_id=command.order_id, lines=())]


def _gives_back_its_own(stock: Any, event: Any, real: Any) -> Any:
    return real(stock, replace(event, lines=stock.reservation.lines))


def _what_there_is(command: Any, stock: Any, _: Any) -> Any:
    lines = tuple(line for line in command.lines if not stock.shortages([line]))
    return [StockReserved(order_id=command.order_id, lines=lines)]


def _again_although_told(command: Any, state: Any, real: Any) -> Any:
    return real(command, replace(state, notices=replace(state.notices, of={})))


def _held_again(command: Any, _stock: Any, _real: Any) -> Any:
    return [StockReserved(order_id=command.order_id, lines=command.lines)]


def _sent_but_on_the_shelf(stock: Any, event: Any, real: Any) -> Any:
    after = real(stock, event)
    shelved = {sku: replace(p, on_hand=stock.products[sku].on_hand) for sku, p in after.products.items()}
    return replace(after, products=shelved)


def _still_held(stock: Any, event: Any, real: Any) -> Any:
    return replace(real(stock, event), products=stock.products)


def _uncorrected(command: Any, product: Any, _: Any) -> Any:
    return [StockCorrected(sku=product.sku, change=command.change, reason=command.reason)]


DECIDE = "decide"
MUTANTS = (
    Mutant(
        "a refund is dropped",
        payment,
        DECIDE,
        decides(payment.ReturnPayment, "CHARGED", lambda *_: DROPPED),
        PLAIN,
        "stays CANCELLING",
    ),
    Mutant(
        "a requested payment is voided without asking the provider",
        payment,
        DECIDE,
        decides(payment.ReturnPayment, "REQUESTED", lambda c, *_: [PaymentVoided(order_id=c.order_id)]),
        PLAIN,
        "the provider says charged",
    ),
    Mutant(
        "a charge that had happened after all is not refunded",
        payment,
        DECIDE,
        decides(payment.RecordCharge, "VOIDING", lambda c, s, real: real(c, s)[:1]),
        PLAIN,
        "stays CANCELLING",
    ),
    Mutant(
        "a payment that was never requested leaves no tombstone",
        payment,
        DECIDE,
        decides(payment.ReturnPayment, "NONE", lambda *_: DROPPED),
        PLAIN,
        "stays CANCELLING",
    ),
    Mutant(
        "a voided payment is requested after all",
        payment,
        DECIDE,
        decides(payment.RequestPayment, "VOIDED", _as_if(payment.Status.NONE)),
        AGAIN,
        "its payment REQUESTED",
    ),
    Mutant(
        "a refund is asked for where nothing was charged",
        payment,
        DECIDE,
        decides(payment.ReturnPayment, "DECLINED", lambda c, *_: [PaymentRefundRequested(order_id=c.order_id)]),
        PLAIN,
        "exceeds_charge",
    ),
    Mutant(
        "a free order is charged by the provider",
        payment,
        "_requested",
        gives(lambda command, real: real(command)[:1]),
        FREE,
        "1 charges",
    ),
    Mutant(
        "a charge that stays is settled as a refund",
        payment,
        DECIDE,
        decides(payment.SettleRefund, "CHARGED", _as_if(payment.Status.REFUNDING)),
        SETTLED,
        "1 charges, 0 refunds",
    ),
    Mutant(
        "a charge is asked for however old it is",
        provider,
        "charge",
        gives(lambda of, tried, real: real(of, replace(tried, seconds=0))),
        FORGETFUL,
        "2 charges",
    ),
    Mutant(
        "a charge is asked for again after a stored error",
        provider,
        "charge",
        gives(lambda of, tried, _: asking.chosen().charge(of)),
        FORGETFUL,
        "2 charges",
    ),
    Mutant(
        "a refund is not looked up before it is asked for again",
        provider,
        "refund",
        gives(lambda of, tried, real: real(of, replace(tried, times=1))),
        FORGETFUL,
        "needs an operator: exceeds_charge",
    ),
    Mutant(
        "a void looks only by the key",
        provider,
        "void",
        gives(lambda of, tried, _: asking.chosen().void(of)),
        FORGETFUL,
        "the provider says charged",
    ),
    Mutant(
        "a void is tried for ever",
        provider,
        "void",
        gives(lambda *_: _says_nothing()),
        PLAIN,
        "no end can be reached without help",
    ),
    Mutant(
        "a wrong amount is charged",
        payment_reactions,
        "order_reserved",
        gives(lambda event, real: replace(real(event), amount=event.total + 1)),
        PLAIN,
        "was charged 101",
    ),
    Mutant(
        "a rejected reservation does not answer the release",
        inventory,
        DECIDE,
        decides(inventory.ReleaseStock, "REJECTED", lambda *_: DROPPED),
        SOLD_OUT,
        "stays CANCELLING",
    ),
    Mutant(
        "a released reservation holds stock for a late copy of the order",
        inventory,
        DECIDE,
        decides(inventory.ReserveStock, "RELEASED", _held_again),
        AGAIN,
        "its reservation RESERVED",
    ),
    Mutant(
        "the same order holds stock twice",
        inventory,
        DECIDE,
        decides(inventory.ReserveStock, "RESERVED", _held_again),
        AGAIN,
        "2 reserved",
    ),
    Mutant(
        "stock is held without a look at what is free",
        inventory.Stock,
        "shortages",
        gives(lambda *_: ()),
        RACE,
        "1 on hand, 2 reserved",
    ),
    Mutant(
        "the lines that can be had are held",
        inventory,
        DECIDE,
        decides(inventory.ReserveStock, "NONE", _what_there_is),
        LINES,
        "other lines than were ordered",
    ),
    Mutant(
        "a release forgets the stock", inventory, "evolve", evolves(StockReleased, _still_held), PLAIN, "1 reserved"
    ),
    Mutant(
        "a release does not say what it gives back",
        inventory,
        DECIDE,
        decides(inventory.ReleaseStock, "RESERVED", _released_blindly),
        PLAIN,
        "1 reserved; orders hold 0",
    ),
    Mutant(
        "sold goods stay on the shelf",
        inventory,
        "evolve",
        evolves(StockCommitted, _sent_but_on_the_shelf),
        PLAIN,
        "1 on hand, 0 reserved",
    ),
    Mutant("a correction goes below what is held", inventory, "_corrected", gives(_uncorrected), COUNTING, "reserved"),
    Mutant(
        "a charge confirms an order that is being cancelled",
        orders,
        DECIDE,
        decides(orders.MarkCharged, "CANCELLING", _as_if(orders.Status.RESERVED)),
        PLAIN,
        "is CONFIRMED, its reservation RELEASED",
    ),
    Mutant(
        "half a cancellation is enough",
        orders,
        "_stock_closed",
        gives(lambda order, _: [orders._cancelled(order, order.cancellation_reason)]),
        PLAIN,
        "is CANCELLED",
    ),
    Mutant(
        "the deadline cancels a confirmed order",
        orders,
        DECIDE,
        decides(orders.ExpireOrder, "CONFIRMED", _as_if(orders.Status.RESERVED)),
        LATE,
        "refused",
    ),
    Mutant(
        "a declined payment is waited for",
        orders,
        "evolve",
        evolves(orders.OrderCancellationStarted, lambda o, e, real: replace(real(o, e), payment_closed=False)),
        PLAIN,
        "stays CANCELLING",
    ),
    Mutant(
        "a release is taken for a returned payment",
        order_reactions,
        "stock_released",
        gives(lambda event, _: orders.MarkPaymentReturned(order_id=event.order_id)),
        PLAIN,
        "stays CANCELLING",
    ),
    Mutant(
        "an order of the webshop is told of as one that was placed",
        orders,
        DECIDE,
        decides(orders.ImportOrder, "NONE", _as_placed_here),
        OPEN_THERE,
        "the webshop's order is shown as",
    ),
    Mutant(
        "an order of the webshop that was shipped is told of as confirmed",
        orders,
        DECIDE,
        decides(orders.ImportOrder, "IMPORTED", _as_confirmed_here),
        IMPORTED,
        "an order is CONFIRMED, its reservation NONE",
    ),
    Mutant(
        "an order of the webshop that was cancelled is told of as cancelled",
        orders,
        DECIDE,
        decides(orders.ImportOrder, "IMPORTED", _as_cancelled_here),
        IMPORTED,
        "is IMPORTED, its reservation NONE, its payment NONE, 0 charges, 0 refunds",
        beside=((orders, "evolve", evolves(orders.OrderCancelled, lambda order, *_: order)),),
    ),
    Mutant(
        "a client cancels an order of the webshop",
        orders,
        DECIDE,
        decides(orders.CancelOrder, "IMPORTED", _as_if(orders.Status.PENDING)),
        OPEN_THERE,
        "the webshop's order is shown as",
    ),
    Mutant(
        "an older state of the webshop's order follows a newer one",
        orders,
        DECIDE,
        decides(orders.ImportOrder, "IMPORTED", lambda command, *_: [command.stands]),
        replace(IMPORTED, again=True),
        "the webshop's order is shown as",
    ),
    Mutant(
        "a late copy brings an erased order back",
        orders,
        DECIDE,
        decides(orders.ImportOrder, "ERASED", lambda command, *_: [command.stands]),
        replace(IMPORTED, again=True, told=(WEBSHOP, ERASED)),
        "the webshop's order is shown as",
    ),
    Mutant(
        "a delisted product stays on the price list",
        order_reactions,
        "product_delisted",
        gives(lambda event, _: orders.Price(sku=event.sku, unit_price=1, currency="EUR")),
        PRICING,
        "the price list says",
    ),
    Mutant(
        "the customer is told again",
        notification,
        DECIDE,
        decides(notification.Notify, "SENT", _again_although_told),
        TOLD,
        "told more than once",
    ),
    Mutant(
        "a row is not what its events say",
        inventory,
        "evolve",
        evolves(StockReleased, _gives_back_its_own),
        PLAIN,
        "is not the fold",
        beside=((inventory, DECIDE, decides(inventory.ReleaseStock, "RESERVED", _released_blindly)),),
    ),
)

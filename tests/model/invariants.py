"""What must hold: at every moment for the stock, and for each order once nothing more happens by itself."""

from collections import Counter
from typing import Any

from tests.model.order import AGGREGATES, NOTIFICATION, PAYMENT, OrderState
from tests.model.outside import Ledger
from tests.model.scopes import Scope
from waybill.testing.decisions import NO_ROW, Decisions, Fault


def stock(decisions: Decisions, skus: list[str], shared: Any, reservations: list[int]) -> None:
    """Raise Fault unless what came in is on hand or sold, and what is held is on hand."""
    held, sold = Counter(), Counter()
    for number in reservations:
        row = decisions.rows[number]
        if row is not None:
            of = {"RESERVED": held, "COMMITTED": sold}.get(row.status)
            for line in row.lines if of is not None else ():
                of[line["sku"]] += line["quantity"]
    for sku, number, units in zip(skus, shared.products, shared.received, strict=True):
        row = decisions.rows[number]
        said = f"{sku}: {units} came in, {row.on_hand} on hand, {row.reserved} reserved; "
        said += f"orders hold {held[sku]} and have bought {sold[sku]}"
        if not (units == row.on_hand + sold[sku] and row.reserved == held[sku] and 0 <= row.reserved <= row.on_hand):
            raise Fault(said)


def prices(decisions: Decisions, shared: Any) -> None:
    """Raise Fault unless the price list is what the inventory sells at, once it has heard everything."""
    for number, price in zip(shared.products, shared.prices, strict=True):
        row = decisions.rows[number]
        sold_at = row.unit_price if row.status == "LISTED" else None
        if price.unit_price != sold_at:
            raise Fault(f"{row.sku} is {row.status} at {row.unit_price}, the price list says {price.unit_price}")


def always(decisions: Decisions, order: OrderState) -> None:
    """Raise Fault where an order says that it has ended and it has not."""
    status = statuses(decisions, order)
    ledger, settled = order.ledger, _settled_by(decisions, order)
    match status["order"]:
        case "CONFIRMED":
            wanted = 1 if decisions.rows[order.rows[0]].total else 0
            good = (ledger.charges, ledger.refunds) == (wanted, 0) and status["reservation"] in {
                "RESERVED",
                "COMMITTED",
            }
            good = good and not settled
        case "CANCELLED":
            good = (
                ledger.charges == ledger.refunds + bool(settled)
                and status["reservation"] not in {"RESERVED", "COMMITTED"}
                and status["payment"] in {"NONE", "DECLINED", "VOIDED", "REFUNDED"}
            )
        case "IMPORTED" | "ERASED":
            others = {status[name] for name in ("reservation", "payment")} | {order.rows[NOTIFICATION]}
            good = others == {"NONE", NO_ROW} and ledger == Ledger() and not (order.due or order.mails)
        case _:
            good = ledger.refunds + bool(settled) <= ledger.charges <= 1
    if not good:
        raise Fault(f"an order is {_said(status, order)}")


def at_the_end(decisions: Decisions, order: OrderState, scope: Scope) -> None:
    """Raise Fault unless the order has ended well."""
    if scope.told:
        _as_in_the_webshop(decisions, order, scope)
        return
    if order.rows[0] == NO_ROW:
        return
    status = statuses(decisions, order)
    rows = {name: decisions.rows[number] for name, number in zip(AGGREGATES, order.rows, strict=True)}
    ledger = order.ledger
    if status["order"] not in {"CONFIRMED", "CANCELLED"} or (
        status["order"] == "CONFIRMED" and status["reservation"] != "COMMITTED"
    ):
        raise Fault(f"an order stays {_said(status, order)}")
    if status["reservation"] == "COMMITTED":
        ordered = sorted((line["sku"], line["quantity"]) for line in rows["order"].lines)
        if sorted((line["sku"], line["quantity"]) for line in rows["reservation"].lines) != ordered:
            raise Fault("an order is confirmed with other lines than were ordered")
    payment = rows["payment"]
    if ledger.charges and payment.amount != rows["order"].total:
        raise Fault(f"an order of {rows['order'].total} was charged {payment.amount}")
    if scope.mail:
        paid = bool(ledger.refunds) or _settled_by(decisions, order) == "paid_elsewhere"
        _told(rows["order"], rows["notification"], order, paid_back=paid)


def _as_in_the_webshop(decisions: Decisions, order: OrderState, scope: Scope) -> None:
    row, last = decisions.rows[order.rows[0]], scope.told[-1]
    stands = (row.status, row.imported_status, row.source_version) if row else None
    status = getattr(last, "status", None)
    wanted = ("IMPORTED" if status else "ERASED", status, len(scope.told))
    if stands != wanted:
        raise Fault(f"the webshop's order is shown as {stands}; it stands as {wanted}")


def _told(row: Any, notification: Any, order: OrderState, *, paid_back: bool) -> None:
    wanted = {f"ORDER_{row.status}"} | ({"PAYMENT_REFUNDED"} if paid_back else set())
    told = set(notification.notices) if notification else set()
    if told != wanted:
        raise Fault(f"an order stays {row.status} and its customer is told {sorted(told)}")
    if notification.version != 2 * len(told):  # asked for and settled
        raise Fault(f"{sorted(told)} is told more than once: {notification.version} events")
    unsettled = [kind for kind, notice in notification.notices.items() if notice["status"] not in {"SENT", "FAILED"}]
    unmailed = [k for k, notice in notification.notices.items() if notice["status"] == "SENT" and k not in order.mails]
    if unsettled or unmailed:
        raise Fault(f"unsettled at the end: {unsettled}, said to be sent and not: {unmailed}")


def statuses(decisions: Decisions, order: OrderState) -> dict[str, str]:
    """Return aggregate type → status."""
    rows = zip(AGGREGATES, order.rows, strict=True)
    return {name: getattr(decisions.rows[number], "status", "NONE") for name, number in rows}


def _settled_by(decisions: Decisions, order: OrderState) -> str | None:
    return getattr(decisions.rows[order.rows[PAYMENT]], "settled_by", None)


def _said(status: dict[str, str], order: OrderState) -> str:
    said = f"{status['order']}, its reservation {status['reservation']}, its payment {status['payment']}, "
    return f"{said}{order.ledger.charges} charges, {order.ledger.refunds} refunds"

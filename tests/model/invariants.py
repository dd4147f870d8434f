"""What must hold: at every moment for the stock, and for each order once nothing more happens by itself."""

from collections import Counter
from typing import Any

from tests.model.corridor import NO_ROW, Corridor, Fault
from tests.model.life import AGGREGATES, PAYMENT, Life
from tests.model.scopes import Scope


def stock(corridor: Corridor, skus: list[str], shared: Any, reservations: list[int]) -> None:
    """Raise Fault unless what came in is on hand or sold, and what is held is on hand."""
    held, sold = Counter(), Counter()
    for number in reservations:
        row = corridor.rows[number]
        if row is not None:
            of = {"RESERVED": held, "COMMITTED": sold}.get(row.status)
            for line in row.lines if of is not None else ():
                of[line["sku"]] += line["quantity"]
    for sku, number, brought in zip(skus, shared.products, shared.brought, strict=True):
        row = corridor.rows[number]
        said = f"{sku}: {brought} came in, {row.on_hand} on hand, {row.reserved} reserved; "
        said += f"orders hold {held[sku]} and have bought {sold[sku]}"
        if not (brought == row.on_hand + sold[sku] and row.reserved == held[sku] and 0 <= row.reserved <= row.on_hand):
            raise Fault(said)


def prices(corridor: Corridor, shared: Any) -> None:
    """Raise Fault unless the price list is what the inventory sells at, once it has heard everything."""
    for number, price in zip(shared.products, shared.prices, strict=True):
        row = corridor.rows[number]
        sold_at = row.unit_price if row.status == "LISTED" else None
        if price.unit_price != sold_at:
            raise Fault(f"{row.sku} is {row.status} at {row.unit_price}, the price list says {price.unit_price}")


def always(corridor: Corridor, life: Life) -> None:
    """Raise Fault where an order says that it has ended and it has not."""
    status = statuses(corridor, life)
    books, settled = life.books, _settled_by(corridor, life)
    match status["order"]:
        case "CONFIRMED":
            wanted = 1 if corridor.rows[life.rows[0]].total else 0
            good = (books.charges, books.refunds) == (wanted, 0) and status["reservation"] in {"RESERVED", "COMMITTED"}
            good = good and not settled
        case "CANCELLED":
            good = (
                books.charges == books.refunds + bool(settled)
                and status["reservation"] not in {"RESERVED", "COMMITTED"}
                and status["payment"] in {"NONE", "DECLINED", "VOIDED", "REFUNDED"}
            )
        case _:
            good = books.refunds + bool(settled) <= books.charges <= 1
    if not good:
        raise Fault(f"an order is {_said(status, life)}")


def at_rest(corridor: Corridor, life: Life, scope: Scope) -> None:
    """Raise Fault unless the order has ended well."""
    if life.rows[0] == NO_ROW:
        return
    status = statuses(corridor, life)
    rows = {name: corridor.rows[number] for name, number in zip(AGGREGATES, life.rows, strict=True)}
    books = life.books
    if status["order"] not in {"CONFIRMED", "CANCELLED"} or (
        status["order"] == "CONFIRMED" and status["reservation"] != "COMMITTED"
    ):
        raise Fault(f"an order rests {_said(status, life)}")
    if status["reservation"] == "COMMITTED":
        ordered = sorted((line["sku"], line["quantity"]) for line in rows["order"].lines)
        if sorted((line["sku"], line["quantity"]) for line in rows["reservation"].lines) != ordered:
            raise Fault("an order is confirmed with other lines than were ordered")
    payment = rows["payment"]
    if books.charges and payment.amount != rows["order"].total:
        raise Fault(f"an order of {rows['order'].total} was charged {payment.amount}")
    if scope.mail:
        paid = bool(books.refunds) or _settled_by(corridor, life) == "paid_elsewhere"
        _told(rows["order"], rows["notification"], life, paid_back=paid)


def _told(order: Any, notification: Any, life: Life, *, paid_back: bool) -> None:
    wanted = {f"ORDER_{order.status}"} | ({"PAYMENT_REFUNDED"} if paid_back else set())
    told = set(notification.notices) if notification else set()
    if told != wanted:
        raise Fault(f"an order rests {order.status} and its customer is told {sorted(told)}")
    if notification.version != 2 * len(told):  # asked for and settled
        raise Fault(f"{sorted(told)} is told more than once: {notification.version} events")
    unsettled = [kind for kind, notice in notification.notices.items() if notice["status"] not in {"SENT", "FAILED"}]
    unmailed = [k for k, notice in notification.notices.items() if notice["status"] == "SENT" and k not in life.mails]
    if unsettled or unmailed:
        raise Fault(f"unsettled at rest: {unsettled}, said to be sent and not: {unmailed}")


def statuses(corridor: Corridor, life: Life) -> dict[str, str]:
    """Return aggregate type → status."""
    rows = zip(AGGREGATES, life.rows, strict=True)
    return {name: getattr(corridor.rows[number], "status", "NONE") for name, number in rows}


def _settled_by(corridor: Corridor, life: Life) -> str | None:
    return getattr(corridor.rows[life.rows[PAYMENT]], "settled_by", None)


def _said(status: dict[str, str], life: Life) -> str:
    said = f"{status['order']}, its reservation {status['reservation']}, its payment {status['payment']}, "
    return f"{said}{life.books.charges} charges, {life.books.refunds} refunds"

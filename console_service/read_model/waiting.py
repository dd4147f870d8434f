"""What an order waits for, as far as the events of all topics tell: who has the next word.

The next word is the order's own once another service has answered and the order's next event has not come yet: then
its consumer or its relay is what is late. When a deadline is, stands in the order service's due rows alone.
"""

from typing import Final

from console_service.models import OrderRow

ANSWERED: Final = "the order service has its answer ({}) and has not said what follows: its consumer or its relay"


def waits_for(order: OrderRow) -> str:
    """Return it in a line; nothing for an order that has ended."""
    match order.status, order.stock, order.payment:
        case "PENDING", "", _:
            return "the inventory's answer to OrderPlaced: StockReserved or StockRejected"
        case "PENDING", stock, _:
            return ANSWERED.format(f"stock {stock}")
        case "RESERVED", _, "":
            return "the payment's answer to OrderReserved: PaymentCharged or PaymentDeclined"
        case "RESERVED", _, payment:
            return ANSWERED.format(f"payment {payment}")
        case "CHARGED", _, _:
            return "OrderConfirmed, which the order service writes with OrderCharged"
        case "CANCELLING", stock, payment:
            return _cancelling(stock, payment)
        case "", _, _:
            return "its first event, which has not been read yet"
        case _:
            return ""


def _cancelling(stock: str, payment: str) -> str:
    missing = [] if stock in {"RELEASED", "REJECTED"} else ["StockReleased of the inventory"]
    if payment == "CHARGED":
        missing.append("PaymentRefunded of the payment service, which the provider has to make")
    elif payment not in {"VOIDED", "REFUNDED"}:
        missing.append("PaymentVoided or PaymentRefunded of the payment service")
    return " and ".join(missing) or ANSWERED.format(f"stock {stock}, payment {payment}")

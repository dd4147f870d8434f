"""What visitors were promised, looked for where the rows are at the end."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.strangler.page import Block
from tests.strangler.visitors import Visitors
from tests.strangler.walk import Walk

# Enough of each that none is sold out while the page is followed.
BOUGHT = """
UPDATE catalogue_product SET stock = 100000 WHERE id IN (
    SELECT product_id FROM orders_orderline JOIN orders_order ON orders_order.id = order_id
    JOIN customers_customer ON customers_customer.id = customer_id WHERE customers_customer.name = 'Ann Able')
RETURNING id
"""
FIRST = "--to shop/without-reviews --weight"
TEXTS = """
SELECT product_id, text FROM reviews_review WHERE author = 'Ann Able' AND product_id = ANY(%s)
"""
HOLDS = "SELECT direction, hold_seconds FROM waybill_ownership_log WHERE hold_seconds IS NOT NULL ORDER BY id"
THERE = "SELECT to_regclass(%s) IS NOT NULL"


class Watching:
    """Visitors come when the first canary begins, and go when the page has ended."""

    def __init__(self, walked: Walk) -> None:
        """Wait for the canary."""
        self._walked = walked
        self.visitors: Visitors | None = None

    def at(self, block: Block) -> None:
        """Begin at the first canary."""
        if self.visitors is None and FIRST in block.text:
            products = [product for (product,) in self._walked.rows("shop", BOUGHT)]
            self.visitors = Visitors(self._walked.entry, products)
            self.visitors.start()

    def stop(self) -> None:
        """Let them go."""
        if self.visitors is not None:
            self.visitors.stop()


@contextmanager
def watched(walked: Walk) -> Iterator[Watching]:
    """Give who watches the page being followed."""
    watching = Watching(walked)
    try:
        yield watching
    finally:
        watching.stop()


def kept(walked: Walk, watching: Watching) -> dict[str, Any]:
    """Look for every review and order that was acknowledged; return the figures."""
    watching.stop()
    visitors = watching.visitors
    if visitors is None:
        return {"requests": 0, "failed_requests": 0, "lost": 0}
    for line in visitors.failed[:20]:
        print(line)  # noqa: T201 - what failed
    home = {
        name: _home(walked, name, table) for name, table in (("reviews", "reviews_review"), ("orders", "orders_order"))
    }
    texts = dict(walked.rows(home["reviews"], TEXTS, list(visitors.texts)))
    lost = [
        f"review of {one}: {texts.get(one)!r}, not {text!r}"
        for one, text in visitors.texts.items()
        if texts.get(one) != text
    ]
    there = {one for (one,) in walked.rows(home["orders"], "SELECT id FROM orders_order")}
    lost += [f"order {one}" for one in sorted(visitors.orders - there)]
    for line in lost[:20]:
        print("lost:", line)  # noqa: T201 - what was lost
    holds = [seconds for name in ("shop", "shop_reviews", "shop_orders", "shop_customers", "shop_catalogue")
             for _, seconds in walked.rows(name, HOLDS)]  # fmt: skip
    return {
        "requests": visitors.asked.total(),
        "reviews": len(visitors.texts),
        "orders": len(visitors.orders),
        "failed_requests": len(visitors.failed),
        "lost": len(lost),
        "handovers": len(holds),
        "hold_seconds": round(max(holds, default=0.0), 2),
        "longest_request_seconds": round(visitors.longest_seconds, 2),
    }


def _home(walked: Walk, app: str, table: str) -> str:
    """Return the database that has the app's rows at the end: the shop's only until its table is dropped."""
    return "shop" if walked.rows("shop", THERE, table)[0][0] else f"shop_{app}"

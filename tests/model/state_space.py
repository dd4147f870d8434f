"""Some orders and the products that they share: one state of all is one number, so that millions fit."""

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import NamedTuple
from uuid import UUID

from inventory_service.domain import ListProduct, ReceiveStock
from order_service.domain import PlaceOrder, Price
from schemas.events import OrderLine, StockCorrected, StockReceived
from tests.model import invariants
from tests.model.order import STOCK, OrderState, OrderSteps, Queue
from tests.model.scopes import LIMIT, Scope
from tests.model.services import SERVICES
from waybill.testing.decisions import NO_ROW, Decisions, Fault, Numbered
from waybill.testing.search import Step

BITS = 22  # of one order's number; the shared part stands above
MASK = (1 << BITS) - 1


class Shared(NamedTuple):
    """What belongs to no order: products, and the order service's copy of their prices."""

    products: tuple[int, ...]
    received: tuple[int, ...]
    """Units received and corrected, product by product."""
    prices: tuple[Price, ...]
    price_versions: tuple[int, ...]
    """Which of its product's events each price is from."""
    price_queues: tuple[Queue, ...]
    """What the order service has of each product's events."""
    staff: tuple[int, ...]
    rewinds: int


class Move(NamedTuple):
    """A step as a number in words, what it leads to, and whether it happens by itself."""

    says: int
    order: int
    forced: bool


class StateSpace:
    """Every step of some orders that share products."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.decisions = Decisions(SERVICES)
        self.alike = len(set(scope.baskets)) == 1  # then it does not matter which order is which
        ids = [UUID(int=1 if self.alike else n + 1) for n in range(len(scope.baskets))]
        self.orders = [OrderSteps(self.decisions, scope, order_id) for order_id in ids]
        self.numbers: list[Numbered[OrderState]] = [Numbered() for _ in ids]
        if self.alike:
            self.numbers = [self.numbers[0]] * len(ids)
        self.shared: Numbered[Shared] = Numbered()
        self.words: Numbered[str] = Numbered()
        self.skus = [sku for sku, _ in scope.stock]
        self._moves: dict[int, list[Move]] = {}
        self._coupled: dict[tuple[int, int, int], list[tuple[Move, int]]] = {}
        self._shared_moves: dict[int, list[Move]] = {}
        self._final: dict[int, bool] = {}
        self._checked: set[tuple[int, ...]] = set()

    @cached_property
    def start(self) -> int:
        """Return the state before anything has happened."""
        shared = self._stocked()
        orders = [of.unplaced() for of in self.orders]
        if self.scope.placed:
            orders = [self._placed(n, order, shared) for n, order in enumerate(orders)]
        return self.pack(self.shared(shared), [self.numbers[n](order) for n, order in enumerate(orders)])

    def _stocked(self) -> Shared:
        products, prices = [], []
        for sku, units in self.scope.stock:
            row = NO_ROW
            listed = ListProduct(sku=sku, name=sku, unit_price=self.scope.price, currency="EUR")
            received = ReceiveStock(sku=sku, quantity=units, reason="delivery", limit=LIMIT)
            for command in (listed, received):
                place = ("product", sku)
                outcome = self.decisions.handle("inventory", self.decisions.commands(command), ((place, row),))
                ((_, row),) = outcome.changed
            products.append(row)
            prices.append(Price(sku=sku, unit_price=self.scope.price, currency="EUR"))
        return Shared(
            tuple(products),
            tuple(units for _, units in self.scope.stock),
            tuple(prices),
            (0,) * len(prices),
            (Queue(),) * len(products),
            (0,) * len(self.scope.staff),
            self.scope.rewinds,
        )

    def pack(self, shared: int, orders: list[int]) -> int:
        """Return the number of a state."""
        if self.alike:
            orders = sorted(orders)
        key = shared
        for order in orders:
            key = key << BITS | order
        return key

    def unpack(self, state: int) -> tuple[int, list[int]]:
        """Return the numbers of the shared part and of each order."""
        orders = []
        for _ in self.orders:
            orders.append(state & MASK)
            state >>= BITS
        return state, orders[::-1]

    # Steps.

    def steps(self, state: int) -> Iterator[tuple[int, int, bool]]:
        """Yield (who · words, state afterwards, whether it happens by itself)."""
        shared, orders = self.unpack(state)
        for n, order in enumerate(orders):
            for says, after, forced in self.moves(n, order):
                yield n << 24 | says, self.pack(shared, [*orders[:n], after, *orders[n + 1 :]]), forced
            for (says, after, forced), shared_after in self.coupled(n, order, shared):
                yield n << 24 | says, self.pack(shared_after, [*orders[:n], after, *orders[n + 1 :]]), forced
        for says, after, forced in self.shared_moves(shared):
            yield len(orders) << 24 | says, self.pack(after, orders), forced

    def moves(self, n: int, order: int) -> list[Move]:
        """Return the steps of one order in which nothing shared takes part."""
        key = order if self.alike else order << 4 | n
        found = self._moves.get(key)
        if found is None:
            number = self.numbers[n]
            found = self._moves[key] = [
                Move(self.words(step.says), number(step.order), step.forced)
                for step in self.orders[n].steps(number[order])
            ]
        return found

    def coupled(self, n: int, order: int, shared: int) -> list[tuple[Move, int]]:
        """Return the steps of one order in which products or prices take part."""
        key = (0 if self.alike else n, order, shared)
        found = self._coupled.get(key)
        if found is None:
            found = self._coupled[key] = list(self._couple(n, self.numbers[n][order], self.shared[shared]))
        return found

    def _couple(self, n: int, order: OrderState, shared: Shared) -> Iterator[tuple[Move, int]]:
        if order.rows[0] == NO_ROW and not self.scope.told:
            if all(shared.prices[self.skus.index(sku)].unit_price is not None for sku, _ in self.scope.baskets[n]):
                placed = self._placed(n, order, shared)
                yield Move(self.words("a client places it"), self.numbers[n](placed), forced=False), self.shared(shared)
            return
        of = self.orders[n]
        for at, (reader, _) in enumerate(of.readers):
            if reader != "inventory":
                continue
            for says, event, queue, forced in of.readings(order, at):
                after = order._replace(queues=(*order.queues[:at], queue, *order.queues[at + 1 :]))
                handled, shared_after, outcome = self._held(n, after, shared, event)
                if outcome.refused:
                    raise Fault(f"{says}: {outcome.says}")
                move = Move(self.words(f"{says}: {outcome.says}"), self.numbers[n](handled), forced)
                yield move, self.shared(shared_after)

    def _held(self, n: int, order: OrderState, shared: Shared, event: int):
        of = self.orders[n]
        command = self.decisions.reaction("inventory", event)
        wanted = self.decisions.commands[command].rows()["product"]
        rows = [(of.place(STOCK), order.rows[STOCK])]
        rows += [(("product", sku), shared.products[self.skus.index(sku)]) for sku in wanted]
        outcome = self.decisions.handle("inventory", command, tuple(rows))
        products = list(shared.products)
        for (kind, key), row in outcome.changed:
            if kind == "product":
                products[self.skus.index(key)] = row
        return of.after(order, STOCK, outcome), shared._replace(products=tuple(products)), outcome

    def _placed(self, n: int, order: OrderState, shared: Shared) -> OrderState:
        lines = tuple(
            OrderLine(sku=sku, quantity=units, unit_price=shared.prices[self.skus.index(sku)].unit_price)
            for sku, units in self.scope.baskets[n]
        )
        command = PlaceOrder(
            order_id=self.orders[n].order_id, customer_id="ann", lines=lines, currency="EUR", payment_method="tok"
        )
        return self.orders[n].decided(order, 0, self.decisions.commands(command))[1]

    def shared_moves(self, shared: int) -> list[Move]:
        """Return the steps in which no order takes part."""
        found = self._shared_moves.get(shared)
        if found is None:
            moves = [*self._staffed(self.shared[shared]), *self._told(self.shared[shared])]
            found = self._shared_moves[shared] = [Move(self.words(w), self.shared(s), f) for w, s, f in moves]
        return found

    def _staffed(self, shared: Shared) -> Iterator[tuple[str, Shared, bool]]:
        for one, script in enumerate(self.scope.staff):
            if shared.staff[one] == len(script):
                continue
            command = script[shared.staff[one]]
            at = self.skus.index(command.sku)
            rows = ((("product", command.sku), shared.products[at]),)
            outcome = self.decisions.handle("inventory", self.decisions.commands(command), rows)
            after = shared._replace(staff=_put(shared.staff, one, shared.staff[one] + 1))
            for _, row in outcome.changed:
                after = after._replace(products=_put(after.products, at, row))
            for number in outcome.events:
                event = self.decisions.events[number]
                if isinstance(event, StockReceived | StockCorrected):
                    units = event.quantity if isinstance(event, StockReceived) else event.change
                    after = after._replace(received=_put(after.received, at, after.received[at] + units))
                if self.decisions.reaction("order", number) is not None:
                    queue = after.price_queues[at]
                    after = after._replace(
                        price_queues=_put(after.price_queues, at, queue._replace(waiting=(*queue.waiting, number)))
                    )
            yield f"staff: {type(command).__name__}: {outcome.says}", after, False

    def _told(self, shared: Shared) -> Iterator[tuple[str, Shared, bool]]:
        for at, queue in enumerate(shared.price_queues):
            if queue.waiting:
                event, *rest = queue.waiting
                copy = self.decisions.commands[self.decisions.reaction("order", event)]
                seen = (*queue.seen, event) if self.scope.rewinds else ()
                after = shared._replace(price_queues=_put(shared.price_queues, at, Queue(seen, (), tuple(rest))))
                version = len(seen)
                if version >= shared.price_versions[at]:  # what the statement of waybill.database.rows says
                    after = after._replace(
                        prices=_put(shared.prices, at, copy), price_versions=_put(shared.price_versions, at, version)
                    )
                yield f"order reads {type(self.decisions.events[event]).__name__}", after, True
            if shared.rewinds:
                for back in range(len(queue.seen)):
                    again = Queue(queue.seen[:back], (), queue.seen[back:] + queue.waiting)
                    after = shared._replace(
                        price_queues=_put(shared.price_queues, at, again), rewinds=shared.rewinds - 1
                    )
                    yield f"order reads the products again, from {back} on", after, False

    def say(self, way: Sequence[Step[int]]) -> list[str]:
        """Return the steps in words; orders that are alike keep their names."""
        names = [chr(ord("A") + n) for n in range(len(self.orders))]
        said = []
        for before, by, after in way:
            who, words = by >> 24, self.words[by & 0xFFFFFF]
            said.append(f"{names[who]}: {words}" if who < len(names) and len(names) > 1 else words)
            if who < len(names) and self.alike:
                names = self._renamed(names, who, before, after)
        return said

    def _renamed(self, names: list[str], who: int, before: int, after: int) -> list[str]:
        """Follow the names when the orders, which are kept sorted, change places."""
        _, was = self.unpack(before)
        _, now = self.unpack(after)
        others = was[:who] + was[who + 1 :]
        moved = next(iter((Counter(now) - Counter(others)).elements()))
        pairs = [*zip(others, names[:who] + names[who + 1 :], strict=True), (moved, names[who])]
        return [name for _, name in sorted(pairs)]

    # What must hold.

    @property
    def decided(self) -> int:
        """Return how many different decisions were made until now."""
        return len(self.decisions)

    def ends(self, state: int) -> list[str]:
        """Return where each order stands, its reservation and its payment."""
        _, orders = self.unpack(state)
        statuses = [invariants.statuses(self.decisions, self.numbers[n][order]) for n, order in enumerate(orders)]
        return [f"{s['order']} {s['reservation']} {s['payment']}" for s in statuses]

    def is_final(self, state: int) -> bool:
        """Tell whether nothing more happens by itself."""
        shared, orders = self.unpack(state)
        return not any(queue.waiting for queue in self.shared[shared].price_queues) and all(
            self._order_is_final(n, order) for n, order in enumerate(orders)
        )

    def _order_is_final(self, n: int, order: int) -> bool:
        key = order if self.alike else order << 4 | n
        found = self._final.get(key)
        if found is None:
            one = self.numbers[n][order]
            waits = any(queue.waiting or queue.dead_letters for queue in one.queues)
            found = self._final[key] = not waits and not any(move.forced for move in self.moves(n, order))
        return found

    def check(self, state: int) -> None:
        """Raise Fault where an invariant is broken."""
        number, orders = self.unpack(state)
        shared = self.shared[number]
        ones = [self.numbers[n][order] for n, order in enumerate(orders)]
        for n, order in enumerate(orders):
            if (n, order) not in self._checked:
                self._checked.add((n, order))
                invariants.always(self.decisions, ones[n])
        key = (-1, number, *(one.rows[STOCK] for one in ones))
        if key not in self._checked:
            self._checked.add(key)
            invariants.stock(self.decisions, self.skus, shared, [one.rows[STOCK] for one in ones])
        if self.is_final(state):
            invariants.prices(self.decisions, shared)
            for n, order in enumerate(orders):
                invariants.at_the_end(self.decisions, self.numbers[n][order], self.scope)


def _put(things, at, thing):
    return (*things[:at], thing, *things[at + 1 :])

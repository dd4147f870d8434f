"""Some orders and the products that they share: one state of all is one number, so that millions fit."""

from collections.abc import Iterator
from functools import cached_property
from typing import NamedTuple
from uuid import UUID

from inventory_service.domain import ListProduct, ReceiveStock
from order_service.domain import PlaceOrder, Price
from schemas.events import OrderLine, StockCorrected, StockReceived
from tests.model import invariants
from tests.model.corridor import NO_ROW, Corridor, Fault, Numbered
from tests.model.life import STOCK, Life, Lives, Road
from tests.model.scopes import LIMIT, Scope

BITS = 22  # of one order's number; the shared part stands above
MASK = (1 << BITS) - 1


class Shared(NamedTuple):
    """What belongs to no order: products, and the order service's copy of their prices."""

    products: tuple[int, ...]
    brought: tuple[int, ...]
    """Units received and corrected, product by product."""
    prices: tuple[Price, ...]
    kept: tuple[int, ...]
    """Which of its product's events each price is from."""
    news: tuple[Road, ...]
    """What the order service has of each product's events."""
    staff: tuple[int, ...]
    rewinds: int


class Move(NamedTuple):
    """A step as a number in words, what it leads to, and whether it happens by itself."""

    says: int
    life: int
    forced: bool


class World:
    """Every step of some orders that share products."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.corridor = Corridor()
        self.alike = len(set(scope.baskets)) == 1  # then it does not matter which order is which
        ids = [UUID(int=1 if self.alike else n + 1) for n in range(len(scope.baskets))]
        self.lives = [Lives(self.corridor, scope, order_id) for order_id in ids]
        self.numbers: list[Numbered[Life]] = [Numbered() for _ in ids]
        if self.alike:
            self.numbers = [self.numbers[0]] * len(ids)
        self.shared: Numbered[Shared] = Numbered()
        self.words: Numbered[str] = Numbered()
        self.skus = [sku for sku, _ in scope.stock]
        self._moves: dict[int, list[Move]] = {}
        self._coupled: dict[tuple[int, int, int], list[tuple[Move, int]]] = {}
        self._shared_moves: dict[int, list[Move]] = {}
        self._rests: dict[int, bool] = {}
        self._checked: set[tuple[int, ...]] = set()

    @cached_property
    def start(self) -> int:
        """Return the world before anything has happened."""
        shared = self._stocked()
        lives = [of.unplaced() for of in self.lives]
        if self.scope.placed:
            lives = [self._placed(n, life, shared) for n, life in enumerate(lives)]
        return self.pack(self.shared(shared), [self.numbers[n](life) for n, life in enumerate(lives)])

    def _stocked(self) -> Shared:
        products, prices = [], []
        for sku, units in self.scope.stock:
            row = NO_ROW
            listed = ListProduct(sku=sku, name=sku, unit_price=self.scope.price, currency="EUR")
            received = ReceiveStock(sku=sku, quantity=units, reason="delivery", limit=LIMIT)
            for command in (listed, received):
                place = ("product", sku)
                outcome = self.corridor.handle("inventory", self.corridor.commands(command), ((place, row),))
                ((_, row),) = outcome.changed
            products.append(row)
            prices.append(Price(sku=sku, unit_price=self.scope.price, currency="EUR"))
        return Shared(
            tuple(products),
            tuple(units for _, units in self.scope.stock),
            tuple(prices),
            (0,) * len(prices),
            (Road(),) * len(products),
            (0,) * len(self.scope.staff),
            self.scope.rewinds,
        )

    def pack(self, shared: int, lives: list[int]) -> int:
        """Return the number of a world."""
        if self.alike:
            lives = sorted(lives)
        key = shared
        for life in lives:
            key = key << BITS | life
        return key

    def unpack(self, world: int) -> tuple[int, list[int]]:
        """Return the numbers of the shared part and of each order."""
        lives = []
        for _ in self.lives:
            lives.append(world & MASK)
            world >>= BITS
        return world, lives[::-1]

    # Steps.

    def steps(self, world: int) -> Iterator[tuple[int, int, bool]]:
        """Yield (who · words, world afterwards, whether it happens by itself)."""
        shared, lives = self.unpack(world)
        for n, life in enumerate(lives):
            for says, after, forced in self.moves(n, life):
                yield n << 24 | says, self.pack(shared, [*lives[:n], after, *lives[n + 1 :]]), forced
            for (says, after, forced), shared_after in self.coupled(n, life, shared):
                yield n << 24 | says, self.pack(shared_after, [*lives[:n], after, *lives[n + 1 :]]), forced
        for says, after, forced in self.shared_moves(shared):
            yield len(lives) << 24 | says, self.pack(after, lives), forced

    def moves(self, n: int, life: int) -> list[Move]:
        """Return the steps of one order in which nothing shared takes part."""
        key = life if self.alike else life << 4 | n
        found = self._moves.get(key)
        if found is None:
            number = self.numbers[n]
            found = self._moves[key] = [
                Move(self.words(step.says), number(step.life), step.forced)
                for step in self.lives[n].steps(number[life])
            ]
        return found

    def coupled(self, n: int, life: int, shared: int) -> list[tuple[Move, int]]:
        """Return the steps of one order in which products or prices take part."""
        key = (0 if self.alike else n, life, shared)
        found = self._coupled.get(key)
        if found is None:
            found = self._coupled[key] = list(self._couple(n, self.numbers[n][life], self.shared[shared]))
        return found

    def _couple(self, n: int, life: Life, shared: Shared) -> Iterator[tuple[Move, int]]:
        if life.rows[0] == NO_ROW:
            if all(shared.prices[self.skus.index(sku)].unit_price is not None for sku, _ in self.scope.baskets[n]):
                placed = self._placed(n, life, shared)
                yield Move(self.words("a client places it"), self.numbers[n](placed), forced=False), self.shared(shared)
            return
        of = self.lives[n]
        for at, (reader, _) in enumerate(of.readers):
            if reader != "inventory":
                continue
            for says, event, road, forced in of.readings(life, at):
                after = life._replace(roads=(*life.roads[:at], road, *life.roads[at + 1 :]))
                handled, shared_after, outcome = self._held(n, after, shared, event)
                if outcome.refused:
                    raise Fault(f"{says}: {outcome.says}")
                move = Move(self.words(f"{says}: {outcome.says}"), self.numbers[n](handled), forced)
                yield move, self.shared(shared_after)

    def _held(self, n: int, life: Life, shared: Shared, event: int):
        of = self.lives[n]
        command = self.corridor.reaction("inventory", event)
        wanted = self.corridor.commands[command].rows()["product"]
        rows = [(of.place(STOCK), life.rows[STOCK])]
        rows += [(("product", sku), shared.products[self.skus.index(sku)]) for sku in wanted]
        outcome = self.corridor.handle("inventory", command, tuple(rows))
        products = list(shared.products)
        for (kind, key), row in outcome.changed:
            if kind == "product":
                products[self.skus.index(key)] = row
        return of.after(life, STOCK, outcome), shared._replace(products=tuple(products)), outcome

    def _placed(self, n: int, life: Life, shared: Shared) -> Life:
        lines = tuple(
            OrderLine(sku=sku, quantity=units, unit_price=shared.prices[self.skus.index(sku)].unit_price)
            for sku, units in self.scope.baskets[n]
        )
        command = PlaceOrder(
            order_id=self.lives[n].order_id, customer_id="ann", lines=lines, currency="EUR", payment_method="tok"
        )
        return self.lives[n].decided(life, 0, self.corridor.commands(command))[1]

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
            outcome = self.corridor.handle("inventory", self.corridor.commands(command), rows)
            after = shared._replace(staff=_put(shared.staff, one, shared.staff[one] + 1))
            for _, row in outcome.changed:
                after = after._replace(products=_put(after.products, at, row))
            for number in outcome.events:
                event = self.corridor.events[number]
                if isinstance(event, StockReceived | StockCorrected):
                    units = event.quantity if isinstance(event, StockReceived) else event.change
                    after = after._replace(brought=_put(after.brought, at, after.brought[at] + units))
                if self.corridor.reaction("order", number) is not None:
                    road = after.news[at]
                    after = after._replace(news=_put(after.news, at, road._replace(waiting=(*road.waiting, number))))
            yield f"staff: {type(command).__name__}: {outcome.says}", after, False

    def _told(self, shared: Shared) -> Iterator[tuple[str, Shared, bool]]:
        for at, road in enumerate(shared.news):
            if road.waiting:
                event, *rest = road.waiting
                copy = self.corridor.commands[self.corridor.reaction("order", event)]
                seen = (*road.seen, event) if self.scope.rewinds else ()
                after = shared._replace(news=_put(shared.news, at, Road(seen, (), tuple(rest))))
                version = len(seen)
                if version >= shared.kept[at]:  # what the statement of waybill.database.rows says
                    after = after._replace(prices=_put(shared.prices, at, copy), kept=_put(shared.kept, at, version))
                yield f"order reads {type(self.corridor.events[event]).__name__}", after, True
            if shared.rewinds:
                for back in range(len(road.seen)):
                    again = Road(road.seen[:back], (), road.seen[back:] + road.waiting)
                    after = shared._replace(news=_put(shared.news, at, again), rewinds=shared.rewinds - 1)
                    yield f"order reads the products again, from {back} on", after, False

    # What must hold.

    def ends(self, world: int) -> list[str]:
        """Return where each order stands, its reservation and its payment."""
        _, lives = self.unpack(world)
        statuses = [invariants.statuses(self.corridor, self.numbers[n][life]) for n, life in enumerate(lives)]
        return [f"{s['order']} {s['reservation']} {s['payment']}" for s in statuses]

    def rests(self, world: int) -> bool:
        """Tell whether nothing more happens by itself."""
        shared, lives = self.unpack(world)
        return not any(road.waiting for road in self.shared[shared].news) and all(
            self._life_rests(n, life) for n, life in enumerate(lives)
        )

    def _life_rests(self, n: int, life: int) -> bool:
        key = life if self.alike else life << 4 | n
        found = self._rests.get(key)
        if found is None:
            one = self.numbers[n][life]
            waits = any(road.waiting or road.parked for road in one.roads)
            found = self._rests[key] = not waits and not any(move.forced for move in self.moves(n, life))
        return found

    def check(self, world: int) -> None:
        """Raise Fault where an invariant is broken."""
        number, lives = self.unpack(world)
        shared = self.shared[number]
        ones = [self.numbers[n][life] for n, life in enumerate(lives)]
        for n, life in enumerate(lives):
            if (n, life) not in self._checked:
                self._checked.add((n, life))
                invariants.always(self.corridor, ones[n])
        key = (-1, number, *(one.rows[STOCK] for one in ones))
        if key not in self._checked:
            self._checked.add(key)
            invariants.stock(self.corridor, self.skus, shared, [one.rows[STOCK] for one in ones])
        if self.rests(world):
            invariants.prices(self.corridor, shared)
            for n, life in enumerate(lives):
                invariants.at_rest(self.corridor, self.numbers[n][life], self.scope)


def _put(things, at, thing):
    return (*things[:at], thing, *things[at + 1 :])

"""Whoever writes to the shop: customers and staff by HTTP, raw SQL, bulk updates, and a delayed job that is late."""

import json
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import psycopg

from tests.handover.ledger import Ledger, Told, mark
from tests.handover.stage import Side, Stage
from tests.handover.visitor import PASSWORD, Browser, Fields
from tests.support.environments import surroundings

JOB = Path(__file__).with_name("job.py")
PAUSE_SECONDS = 0.15
REFUSED = "WB001"  # SQLSTATE of a refusing trigger
PRODUCTS = """
INSERT INTO catalogue_product (name, description, price, stock, on_sale, created_at)
    SELECT 'Pan ' || n, '', 10 + n, 1000000, true, now() FROM generate_series(1, 3) AS n
"""
FILL = """
INSERT INTO orders_order (customer_id, status, placed_at, name, email, street, postcode, city, note, total)
    SELECT %s, 'new', now(), 'Ann', 'ann@example.com', 'High Street 1', '12345', 'Town', '', 19.90
    FROM generate_series(1, %s) RETURNING id
"""
LINES = """
INSERT INTO orders_orderline (order_id, product_id, name, price, quantity)
    SELECT id, 1 + id % 3, 'Pan', 9.95, n FROM orders_order, generate_series(1, 2) AS n
"""
APPEND = "UPDATE orders_order SET note = note || %(mark)s WHERE id = %(first)s RETURNING id"
APPEND_MANY = """
UPDATE orders_order SET note = note || %(mark)s, city = %(first)s WHERE id = ANY(%(second)s) RETURNING id
"""
PLACE = """
WITH placed AS (
    INSERT INTO orders_order (customer_id, status, placed_at, name, email, street, postcode, city, note, total)
    VALUES (%(first)s, 'new', now(), 'Ann', '', '', '', '', %(mark)s, 9.95) RETURNING id)
INSERT INTO orders_orderline (order_id, product_id, name, price, quantity)
    SELECT id, 1, 'Pan', 9.95, 1 FROM placed RETURNING order_id
"""
DELETE = """
WITH lines AS (DELETE FROM orders_orderline WHERE order_id = %(first)s)
DELETE FROM orders_order WHERE id = %(first)s RETURNING id
"""


@dataclass
class Orders:
    """Orders that anybody may add to, and those that one writer has to itself."""

    shared: list[int] = field(default_factory=list)
    customer: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def any(self, rng: Random) -> int:
        with self.lock:
            return rng.choice(self.shared)

    def some(self, rng: Random, count: int) -> list[int]:
        with self.lock:
            return sorted(rng.sample(self.shared, min(count, len(self.shared))))

    def add(self, order: int) -> None:
        with self.lock:
            self.shared.append(order)

    def take(self, rng: Random) -> int:
        """Take one away, so that nobody adds to it any more."""
        with self.lock:
            return self.shared.pop(rng.randrange(len(self.shared)))


@dataclass
class Writers:
    """All of them, and what they share."""

    stage: Stage
    ledger: Ledger
    seed: int
    orders: Orders = field(default_factory=Orders)
    stopping: threading.Event = field(default_factory=threading.Event)
    broken: list[str] = field(default_factory=list)

    def prepare(self, orders: int) -> None:
        """Give the shop products, a customer, staff, and orders."""
        here = self.stage.here
        here.rows(PRODUCTS)
        environment = {"DJANGO_SUPERUSER_PASSWORD": PASSWORD}
        here.manage("createsuperuser", "--noinput", "--username", "staff", "--email", "s@example.com", **environment)
        Browser(self.stage, self.ledger).sign_up("ann")
        self.orders.customer = here.rows("SELECT min(id) FROM customers_customer")[0][0]
        self.orders.shared = [one for (one,) in here.rows(FILL, self.orders.customer, orders)]
        here.rows(LINES)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Let all of them write until the end of the block."""
        works: list[Callable[[Random], None]] = [self._shop_a, self._shop_b, self._staff, self._raw, self._bulk]
        threads = [
            threading.Thread(target=self._guarded, args=(work, Random(f"{self.seed}/{n}")))
            for n, work in enumerate(works)
        ]
        threads.append(threading.Thread(target=self._guarded, args=(self._job, Random(self.seed))))
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self.stopping.set()
            for thread in threads:
                thread.join()

    def _guarded(self, work: Callable[[Random], None], rng: Random) -> None:
        try:
            work(rng)
        except Exception as error:  # noqa: BLE001 - told with the outcome: a writer that is gone would hide losses
            self.broken.append(f"{work.__name__}: {type(error).__name__}: {error}")

    def _shop_a(self, rng: Random) -> None:
        self._shop("shopper", rng)

    def _shop_b(self, rng: Random) -> None:
        self._shop("buyer", rng)

    def _shop(self, name: str, rng: Random) -> None:
        """Buy, and cancel some of it."""
        browser = Browser(self.stage, self.ledger)
        browser.sign_up(name)
        where = {"name": "W", "email": "w@example.com", "street": "1 Mill Lane", "postcode": "04109", "city": "Leipzig"}
        while not self.stopping.wait(PAUSE_SECONDS):
            if browser.post(f"/cart/{rng.randint(1, 3)}/add/", quantity="1") is None:
                continue
            key = self.ledger.begin(name)
            page = browser.post("/orders/checkout/", note=mark(*key), **where)
            if page is None:
                continue
            number = page.url.path.strip("/").rpartition("/")[2]
            if not number.isdigit():  # the cart was emptied by an order whose answer was lost
                self.ledger.end(key, Told.NOT_DONE)
                continue
            order = int(number)
            assert "Thank you!" in page.text, page.text
            self.ledger.end(key, Told.DONE, [order])
            if rng.random() < 0.3:
                browser.post(f"/orders/{order}/cancel/")
            else:
                self.orders.add(order)

    def _staff(self, rng: Random) -> None:
        """Change orders in the admin, which nobody else writes to."""
        browser = Browser(self.stage, self.ledger)
        browser.log_in("staff")
        own = [self.orders.take(rng) for _ in range(5)]
        while not self.stopping.wait(PAUSE_SECONDS):
            path = f"/admin/orders/order/{rng.choice(own)}/change/"
            page = browser.get(path)
            if page is None:
                continue
            fields = Fields(page.text).fields
            key = self.ledger.begin("staff")
            fields = {name: value for name, value in fields.items() if not name.startswith("_")}
            page = browser.post(path, **(fields | {"note": fields["note"] + mark(*key), "_continue": "1"}))
            if page is None:
                continue
            saved = "was changed successfully" in page.text
            self.ledger.end(key, Told.DONE if saved else Told.NOT_DONE)
            if not saved and "errornote" not in page.text:
                raise AssertionError(page.text[:3000])

    def _raw(self, rng: Random) -> None:
        """Add, place and delete by SQL."""
        while not self.stopping.wait(PAUSE_SECONDS):
            roll = rng.random()
            if roll < 0.8:
                order = self.orders.any(rng)
                self._write("raw", APPEND, order)
            elif roll < 0.9:
                for placed in self._write("placer", PLACE, self.orders.customer):
                    self.orders.add(placed)
            elif len(self.orders.shared) > 50:
                self._delete(self.orders.take(rng))

    def _bulk(self, rng: Random) -> None:
        """Add to many at once."""
        while not self.stopping.wait(PAUSE_SECONDS * 5):
            self._write("bulk", APPEND_MANY, f"City {rng.randrange(1000)}", self.orders.some(rng, 10))

    def _delete(self, order: int) -> None:
        with self.ledger.lock:
            self.ledger.deleted.add(order)
        self._write("deletion", DELETE, order)

    def _write(self, writer: str, statement: str, *values: object) -> list[int]:
        """Do it in the database of whoever owns; where that refuses, in the other's. Return the orders."""
        key = self.ledger.begin(writer)
        while not self.stopping.is_set():
            side = self.stage.owner()
            told, orders = self._tried(side, statement, mark(*key), *values) if side else (None, [])
            if told is Told.NOT_DONE:
                self.ledger.refused[writer] += 1
            elif told is not None:
                self.ledger.end(key, told if writer != "deletion" else Told.UNKNOWN, orders)
                return orders
            self.stopping.wait(PAUSE_SECONDS)
        self.ledger.end(key, Told.NOT_DONE)
        return []

    @staticmethod
    def _tried(side: Side, statement: str, text: str, *values: object) -> tuple[Told | None, list[int]]:
        """Return what became of it; None where its database was away and it can be tried again."""
        committing, orders = False, list[int]()
        try:
            with psycopg.connect(side.url, connect_timeout=3) as session:
                orders = [one for (one,) in session.execute(statement, {"mark": text, **_named(values)}).fetchall()]
                committing = True
        except psycopg.Error as error:
            if error.sqlstate == REFUSED:
                return Told.NOT_DONE, []
            # Before its COMMIT was sent nothing can be there; afterwards nobody knows.
            return (Told.UNKNOWN, orders) if committing else (None, [])
        return Told.DONE, orders

    def _job(self, _: Random) -> None:
        """Run a delayed job on the monolith's models: it does not know that the orders have gone, and is refused."""
        while not self.stopping.is_set():
            job = subprocess.Popen(
                self.stage.here.environment.command(str(JOB), str(self.orders.customer)),
                cwd=self.stage.here.folder,
                env=surroundings(**self.stage.here.variables, PYTHONPATH=str(self.stage.here.folder)),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            assert job.stdin is not None
            assert job.stdout is not None
            try:
                while not self.stopping.wait(PAUSE_SECONDS * 5):
                    key = self.ledger.begin("job")
                    job.stdin.write(mark(*key) + "\n")
                    job.stdin.flush()
                    said = json.loads(job.stdout.readline() or '{"told": "unknown"}')
                    self.ledger.end(key, Told(said["told"]))
                    if said["told"] == "not done":
                        self.ledger.refused["job"] += 1
                    elif said["told"] == "unknown":
                        break
            except OSError:
                pass
            finally:
                job.kill()
                with suppress(OSError):
                    job.communicate()


def _named(values: tuple[object, ...]) -> dict[str, object]:
    return dict(zip(("first", "second"), values, strict=False))

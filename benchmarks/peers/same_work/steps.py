"""The steps of an order, as plain functions: what this system's four services do of it, for an engine to call.

Each step may run again after a crash, so each is written to be repeated: rows by their key, the provider by an
idempotency key, the mail by its Message-ID. Events may be sent twice.
"""

import os
import smtplib
import threading
import uuid
from collections.abc import Callable, Sequence
from email.message import EmailMessage
from functools import wraps
from pathlib import Path
from typing import Any

import urllib3
from events import Topics
from psycopg.types.json import Jsonb
from psycopg_pool import ConnectionPool

ROLES = ("order", "inventory", "payment", "notification")
CONNECTIONS = 12  # of each database; more did not make it faster
CURRENCY = "EUR"
TABLES = {
    "order": """
        CREATE TABLE IF NOT EXISTS prices (sku text PRIMARY KEY, unit_price bigint NOT NULL);
        CREATE TABLE IF NOT EXISTS orders (order_id uuid PRIMARY KEY, customer_id text NOT NULL, status text NOT NULL,
            lines jsonb NOT NULL, total bigint NOT NULL, currency text NOT NULL, payment_method text NOT NULL,
            created_at timestamptz NOT NULL DEFAULT now(), updated_at timestamptz NOT NULL DEFAULT now())""",
    "inventory": """
        CREATE TABLE IF NOT EXISTS products (sku text PRIMARY KEY, on_hand bigint NOT NULL, reserved bigint NOT NULL);
        CREATE TABLE IF NOT EXISTS reservations (order_id uuid PRIMARY KEY, status text NOT NULL)""",
    "payment": """
        CREATE TABLE IF NOT EXISTS payments (order_id uuid PRIMARY KEY, customer_id text NOT NULL,
            amount bigint NOT NULL, charge_id text NOT NULL, status text NOT NULL)""",
    "notification": """
        CREATE TABLE IF NOT EXISTS notifications (order_id uuid PRIMARY KEY, kind text NOT NULL,
            status text NOT NULL)""",
}


class Steps:
    """Connections, and what is done over them."""

    def __init__(self) -> None:
        told = os.environ
        self._databases = {
            role: ConnectionPool(told[f"PEER_{role.upper()}_DATABASE"], min_size=1, max_size=CONNECTIONS, open=True)
            for role in ROLES
        }
        self._topics = Topics(told["PEER_KAFKA"], told["PEER_TOPICS"], Path(told["PEER_SCHEMAS"]))
        self._provider_url = told["PEER_PROVIDER"]
        self._http = urllib3.PoolManager(maxsize=64, retries=False, timeout=10)
        self._smtp_address = ("127.0.0.1", int(told["PEER_SMTP_PORT"]))
        self._kept = threading.local()
        for role, tables in TABLES.items():
            with self._databases[role].connection() as connection:
                connection.execute(tables)  # pyright: ignore[reportArgumentType]
        skus = [(sku,) for sku in told["PEER_SKUS"].split(",")]
        with self._databases["order"].connection() as connection, connection.cursor() as cursor:
            cursor.executemany("INSERT INTO prices VALUES (%s, 100) ON CONFLICT DO NOTHING", skus)
        with self._databases["inventory"].connection() as connection, connection.cursor() as cursor:
            cursor.executemany("INSERT INTO products VALUES (%s, 1000000000, 0) ON CONFLICT DO NOTHING", skus)

    def place(self, order: dict[str, Any]) -> dict[str, Any]:
        """Write the order's row at today's prices; returns the order with them."""
        with self._databases["order"].connection() as connection:
            skus = [line["sku"] for line in order["lines"]]
            prices = dict(
                connection.execute("SELECT sku, unit_price FROM prices WHERE sku = ANY(%s)", [skus]).fetchall()
            )
            lines = [{**line, "unit_price": prices[line["sku"]]} for line in order["lines"]]
            priced = {**order, "lines": lines, "total": sum(one["quantity"] * one["unit_price"] for one in lines)}
            connection.execute(
                "INSERT INTO orders (order_id, customer_id, status, lines, total, currency, payment_method)"
                " VALUES (%s, %s, 'PENDING', %s, %s, %s, %s) ON CONFLICT DO NOTHING",
                [order["id"], order["customer"], Jsonb(lines), priced["total"], CURRENCY, order["payment_method"]],
            )
        self._topics.publish(order["id"], ("OrderPlaced", _facts(priced, "customer_id", "lines", "payment_method")))
        return priced

    def reserve(self, order: dict[str, Any]) -> None:
        """Hold the stock, in another database."""
        with self._databases["inventory"].connection() as connection:
            held = connection.execute(
                "INSERT INTO reservations VALUES (%s, 'RESERVED') ON CONFLICT DO NOTHING", [order["id"]]
            )
            for line in sorted(order["lines"], key=lambda one: one["sku"]) if held.rowcount else ():
                taken = connection.execute(
                    "UPDATE products SET reserved = reserved + %(n)s"
                    " WHERE sku = %(sku)s AND on_hand - reserved >= %(n)s",
                    {"n": line["quantity"], "sku": line["sku"]},
                )
                assert taken.rowcount == 1, f"{line['sku']} is out of stock"
        self._topics.publish(order["id"], ("StockReserved", {"lines": _stock(order["lines"])}))

    def mark_reserved(self, order: dict[str, Any]) -> None:
        """Note it in the order's row."""
        self._set_status(order["id"], "RESERVED")
        self._topics.publish(order["id"], ("OrderReserved", _facts(order, "customer_id", "payment_method")))

    def charge(self, order: dict[str, Any]) -> str:
        """Have the provider charge, and write the payment's row; returns the charge's id."""
        body = {
            "order_id": order["id"],
            "amount": order["total"],
            "currency": CURRENCY,
            "payment_method": order["payment_method"],
        }
        answer = self._http.request(
            "POST", f"{self._provider_url}/v1/charges", json=body, headers={"Idempotency-Key": f"charge-{order['id']}"}
        )
        assert answer.status == 200, answer.data
        charge_id = str(answer.json()["id"])
        with self._databases["payment"].connection() as connection:
            connection.execute(
                "INSERT INTO payments VALUES (%s, %s, %s, %s, 'CHARGED') ON CONFLICT DO NOTHING",
                [order["id"], order["customer"], order["total"], charge_id],
            )
        charged = {"customer_id": order["customer"], "charge_id": charge_id, "amount": order["total"]}
        self._topics.publish(
            order["id"], ("PaymentCharged", {**charged, "currency": CURRENCY, "provider": "simulator"})
        )
        return charge_id

    def confirm(self, order: dict[str, Any], charge_id: str) -> None:
        """End the order."""
        self._set_status(order["id"], "CONFIRMED")
        self._topics.publish(
            order["id"],
            ("OrderCharged", {"charge_id": charge_id, "total": order["total"], "currency": CURRENCY}),
            ("OrderConfirmed", _facts(order, "customer_id", "lines")),
        )

    def commit_stock(self, order: dict[str, Any]) -> None:
        """Let the goods leave."""
        with self._databases["inventory"].connection() as connection:
            left = connection.execute(
                "UPDATE reservations SET status = 'COMMITTED' WHERE order_id = %s AND status = 'RESERVED'",
                [order["id"]],
            )
            for line in sorted(order["lines"], key=lambda one: one["sku"]) if left.rowcount else ():
                connection.execute(
                    "UPDATE products SET reserved = reserved - %(n)s, on_hand = on_hand - %(n)s WHERE sku = %(sku)s",
                    {"n": line["quantity"], "sku": line["sku"]},
                )
        self._topics.publish(order["id"], ("StockCommitted", {"lines": _stock(order["lines"])}))

    def tell(self, order: dict[str, Any]) -> None:
        """Send the mail, and write its row."""
        mail = EmailMessage()
        mail["Subject"] = "Your order is confirmed"
        mail["From"], mail["To"] = "shop@example.com", "ann@example.com"
        mail["Message-ID"], mail["X-Order-ID"] = f"<{order['id']}@example.com>", order["id"]
        mail.set_content(f"Your order {order['id']} is confirmed and paid.")
        try:
            self._smtp().send_message(mail)
        except smtplib.SMTPServerDisconnected:
            self._kept.smtp = None
            self._smtp().send_message(mail)
        with self._databases["notification"].connection() as connection:
            connection.execute(
                "INSERT INTO notifications VALUES (%s, 'ORDER_CONFIRMED', 'SENT') ON CONFLICT DO NOTHING", [order["id"]]
            )
        self._topics.publish(order["id"], ("NotificationSent", {"kind": "ORDER_CONFIRMED", "channel": "EMAIL"}))

    def _smtp(self) -> smtplib.SMTP:
        if getattr(self._kept, "smtp", None) is None:
            self._kept.smtp = smtplib.SMTP(*self._smtp_address, timeout=10)
        return self._kept.smtp

    def _set_status(self, order_id: str, status: str) -> None:
        with self._databases["order"].connection() as connection:
            connection.execute(
                "UPDATE orders SET status = %s, updated_at = now() WHERE order_id = %s", [status, order_id]
            )


def function(step: Callable[..., Any]) -> Callable[..., Any]:
    """Return a method as a function of its name, for an engine to decorate: an attribute cannot be set on a method."""

    @wraps(step)
    def call(*given: Any) -> Any:
        return step(*given)

    return call


def id_of(subject: str, key: str) -> str:
    """Return the order that a customer's idempotency key stands for: the same one each time."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{subject}:{key}"))


def _facts(order: dict[str, Any], *names: str) -> dict[str, Any]:
    known = {"customer_id": order["customer"], "lines": order["lines"], "payment_method": order["payment_method"]}
    return {"total": order["total"], "currency": CURRENCY, **{name: known[name] for name in names}}


def _stock(lines: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"sku": line["sku"], "quantity": line["quantity"]} for line in lines]

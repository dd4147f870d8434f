"""What an operator has: the `outbox` command, readiness, metrics, logs, and a shop to see orders go through."""

import json
import subprocess
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import httpx2 as httpx
from confluent_kafka import Producer
from prometheus_client.parser import text_string_to_metric_families

from devstack import parts
from devstack.harness.stack import CHECKOUT, order_at_rest, sent
from devstack.harness.wait import wait_until
from devstack.processes import supervisor
from tests.chaos.stage import Stage

DETECT_SECONDS = 90
REPAIR_SECONDS = 120


@dataclass(frozen=True)
class Answer:
    """What a command said."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines() if line.startswith("{")]


class Operator:
    """One operator at one stack."""

    def __init__(self, stage: Stage) -> None:
        self.stage, self.stack = stage, stage.stack

    def outbox(self, *arguments: str) -> Answer:
        """Run the command, whatever its exit code."""
        return self._run("outbox_relay", *arguments)

    def json(self, *arguments: str) -> list[dict[str, Any]]:
        return self.outbox(*arguments, "--json").lines

    def done(self, *arguments: str, **environment: str) -> Answer:
        """Run the command; it must succeed."""
        answer = self._run("outbox_relay", *arguments, **environment)
        assert answer.code == 0, (arguments, answer)
        return answer

    def schemas(self, *arguments: str, **environment: str) -> Answer:
        return self._run("waybill", "contracts", *arguments, **environment)

    def _run(self, module: str, *arguments: str, **environment: str) -> Answer:
        done = subprocess.run(
            parts.python(module, *arguments),
            cwd=CHECKOUT,
            env={**self.stack.environment, **environment},
            capture_output=True,
            text=True,
            timeout=REPAIR_SECONDS,
            check=False,
        )
        return Answer(done.returncode, done.stdout, done.stderr)

    def ready(self, program: str) -> str:
        """Return what `/readyz` of a program says; empty where it is ready."""
        try:
            answer = httpx.get(
                f"http://127.0.0.1:{self.stage.site.health_port(program)}/readyz", timeout=5, trust_env=False
            )
        except httpx.HTTPError as error:
            return repr(error)
        return "" if answer.status_code == 200 else answer.text.strip()

    def metric(self, program: str, name: str, **labels: str) -> float | None:
        """Return a sample's value summed over the labels that are not given; None where there is none."""
        url = f"http://127.0.0.1:{self.stage.site.health_port(program)}/metrics"
        families = text_string_to_metric_families(httpx.get(url, timeout=10, trust_env=False).text)
        values = [
            sample.value
            for family in families
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        ]
        return sum(values) if values else None

    def logged(self, program: str, **fields: str) -> dict[str, Any] | None:
        """Return the last line of a program's log whose fields hold these texts."""
        for line in reversed((self.stage.folder.log / f"{program}.log").read_text(errors="replace").splitlines()):
            if line.startswith("{"):
                one = json.loads(line)
                if all(text in str(one.get(name, "")) for name, text in fields.items()):
                    return one
        return None

    def sql(self, service: str, statement: Any, *values: Any) -> list[tuple[Any, ...]]:
        """Do something as the superuser of the database server."""
        with self.stage.superuser(service) as session:
            found = session.execute(statement, values or None)
            return found.fetchall() if found.description is not None else []

    def stop(self, *programs: str) -> None:
        for program in programs:
            supervisor.call(self.stage.folder, "stopProcess", program)

    def start(self, *programs: str) -> None:
        for program in programs:
            supervisor.call(self.stage.folder, "startProcess", program, supervisor.NO_WAIT)

    def produce(
        self, topic: str, key: bytes | None, value: bytes | None, *, ahead_seconds: float = 0, **headers: str | bytes
    ) -> tuple[int, int]:
        """Put a record on a topic, as anybody may, by a clock that is ahead; returns partition and offset."""
        at: list[tuple[int, int]] = []
        producer = Producer({"bootstrap.servers": self.stack.kafka})

        def delivered(error: Any, message: Any) -> None:
            assert error is None, error
            at.append((message.partition(), message.offset()))

        at_ms = int((time.time() + ahead_seconds) * 1000)
        producer.produce(topic, value, key, headers=list(headers.items()), on_delivery=delivered, timestamp=at_ms)
        assert producer.flush(30) == 0
        return at[0]

    def product(self, units: int = 100, unit_price: int = 1999) -> str:
        """List a product with so many units, and wait until it can be ordered."""
        sku = f"N-{uuid.uuid4().hex[:8]}"
        with self.stack.client("inventory", self.stack.state["tokens"]["staff"]) as staff:
            listing = {"sku": sku, "name": "A lamp", "unit_price": unit_price, "currency": "EUR"}
            sent(staff.post("/v1/products", json=listing, headers=key()), 201)
            stock = {"kind": "received", "quantity": units, "reason": "delivery"}
            sent(staff.post(f"/v1/products/{sku}/stock", json=stock, headers=key()), 200)
        until(lambda: self.sql("order", "SELECT 1 FROM prices WHERE sku = %s", sku), f"price of {sku}")
        return sku

    def order(self, sku: str, method: str = "tok_ok", quantity: int = 1) -> str:
        """Place an order and return its id."""
        body = {"lines": [{"sku": sku, "quantity": quantity}], "payment_method": method}
        with self.stack.client("order") as client:
            return str(sent(client.post("/v1/orders", json=body, headers=key()), 202)["id"])

    def at_rest(self, order_id: str) -> str:
        """Return the status that an order ends in."""
        with self.stack.client("order") as client:
            return order_at_rest(client, order_id, deadline_seconds=REPAIR_SECONDS)["status"]

    def status_of(self, order_id: str) -> str:
        with self.stack.client("order") as client:
            return sent(client.get(f"/v1/orders/{order_id}"), 200)["status"]

    def confirmed(self, sku: str) -> bool:
        """Say whether an order that is placed now is carried through."""
        return self.at_rest(self.order(sku)) == "CONFIRMED"


def key() -> dict[str, str]:
    return {"Idempotency-Key": str(uuid.uuid4())}


def until(
    look: Callable[[], Any], what: str, seconds: float = DETECT_SECONDS, seen: Sequence[Any] | None = None
) -> Any:
    return wait_until(look, deadline_seconds=seconds, what=what, every_seconds=0.2, seen=seen)

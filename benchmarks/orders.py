"""Orders through REST to CONFIRMED, with so many under way at once; costs as little CPU as a client in Python can.

A closed loop: each client places its next order once its last one is confirmed, and learns of that as any subscriber
does, from `order.events.v1`. So the time of an order runs from before its POST until its OrderConfirmed was received.
"""

import asyncio
import json
import threading
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import urlsplit

import confluent_kafka

TOPIC = "order.events.v1"
ORDER_SECONDS = 120


@dataclass(frozen=True)
class Target:
    """Where orders are placed, and where their confirmation comes out."""

    url: str
    token: str
    kafka: str
    topic: str = TOPIC


class Confirmations:
    """Listen to the orders' topic from its end on, and wake whoever waits for an order."""

    def __init__(self, target: Target, loop: asyncio.AbstractEventLoop) -> None:
        self.topic = target.topic
        self.loop = loop
        self.confirmed: dict[str, float] = {}
        self.waiting: dict[str, asyncio.Event] = {}
        self.stopped = threading.Event()
        self.consumer = confluent_kafka.Consumer(
            {
                "bootstrap.servers": target.kafka,
                "group.id": "bench",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
            }
        )
        partitions = self.consumer.list_topics(self.topic, timeout=10).topics[self.topic].partitions
        self.consumer.assign([confluent_kafka.TopicPartition(self.topic, n, self._end(n)) for n in partitions])
        self.partitions = len(partitions)
        self.thread = threading.Thread(target=self._listen, daemon=True)

    def _end(self, partition: int) -> int:
        return self.consumer.get_watermark_offsets(confluent_kafka.TopicPartition(self.topic, partition), timeout=10)[1]

    def __enter__(self) -> Self:
        """Listen once every partition is read: one that joins late waits behind a request held open for 500 ms."""
        read: set[int | None] = set()
        while len(read) < self.partitions:
            message = self.consumer.poll(10)
            assert message is not None, "the broker does not answer"
            error = message.error()
            if error is not None and error.code() == confluent_kafka.KafkaError._PARTITION_EOF:  # noqa: SLF001 - its only name
                read.add(message.partition())
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopped.set()
        self.thread.join()
        self.consumer.close()

    async def of(self, order_id: str) -> float:
        """Return when the order's OrderConfirmed was received (perf_counter)."""
        if order_id not in self.confirmed:
            waiting = self.waiting[order_id] = asyncio.Event()
            async with asyncio.timeout(ORDER_SECONDS):
                await waiting.wait()
        return self.confirmed.pop(order_id)

    def _listen(self) -> None:
        while not self.stopped.is_set():
            first = self.consumer.poll(0.2)
            if first is None:
                continue
            records = [first, *self.consumer.consume(1000, 0)]
            at = time.perf_counter()
            found = [r.key().decode() for r in records if r.error() is None and _is_confirmation(r)]
            if found:
                self.loop.call_soon_threadsafe(self._note, found, at)

    def _note(self, order_ids: list[str], at: float) -> None:
        for order_id in order_ids:
            self.confirmed[order_id] = at
            if waiting := self.waiting.pop(order_id, None):
                waiting.set()


def _is_confirmation(record: Any) -> bool:
    return any(name == "ce_type" and value.endswith(b".OrderConfirmed") for name, value in record.headers())


class Client:
    """One kept-alive connection to whoever takes orders."""

    def __init__(self, target: Target) -> None:
        url = urlsplit(target.url)
        self.address = (url.hostname or "", url.port or 80)
        self.head = f"POST /v1/orders HTTP/1.1\r\nHost: {url.netloc}\r\nAuthorization: Bearer {target.token}\r\n"
        self.head += "Content-Type: application/json\r\n"
        self.writer: asyncio.StreamWriter | None = None

    async def place(self, sku: str) -> str:
        """Place an order and return its id; where the service is full, ask again when it says."""
        body = json.dumps({"lines": [{"sku": sku, "quantity": 1}], "payment_method": "tok_ok"})
        own = f"Idempotency-Key: {uuid.uuid4()}\r\nContent-Length: {len(body)}\r\n\r\n{body}"
        async with asyncio.timeout(ORDER_SECONDS):
            while True:
                try:
                    status, headers, content = await self._ask((self.head + own).encode())
                except (asyncio.IncompleteReadError, ConnectionError):  # hung up; the key makes it the same order
                    self.close()
                    continue
                if status != "503":
                    break
                await asyncio.sleep(int(headers["retry-after"]))
        assert status == "202", (status, content)
        return json.loads(content)["id"]

    async def _ask(self, request: bytes) -> tuple[str, dict[str, str], bytes]:
        if self.writer is None:
            self.reader, self.writer = await asyncio.open_connection(*self.address)
        self.writer.write(request)
        first, *lines = (await self.reader.readuntil(b"\r\n\r\n")).decode().lower().split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines if line)
        content = await self.reader.readexactly(int(headers.get("content-length", 0)))
        if headers.get("connection") == "close":
            self.close()
        return first.split()[1], headers, content

    def close(self) -> None:
        """Hang up."""
        if self.writer is not None:
            self.writer.close()
            self.writer = None


def place_all(target: Target, skus: Sequence[str], orders: int, in_flight: int) -> list[float]:
    """Carry so many orders to CONFIRMED; returns the seconds that each took."""

    async def client(numbers: Any, confirmations: Confirmations) -> list[float]:
        connection, seconds = Client(target), []
        for n in numbers:
            started = time.perf_counter()
            order_id = await connection.place(skus[n % len(skus)])
            seconds.append(await confirmations.of(order_id) - started)
        connection.close()
        return seconds

    async def everything() -> list[float]:
        numbers = iter(range(orders))
        with Confirmations(target, asyncio.get_running_loop()) as confirmations:
            found = await asyncio.gather(*(client(numbers, confirmations) for _ in range(min(in_flight, orders))))
        return [one for some in found for one in some]

    return asyncio.run(everything())

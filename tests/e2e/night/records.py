"""What arrives on a topic that no service of ours wrote."""

import random
from collections.abc import Generator
from uuid import uuid4

from tests.e2e.night.brokers import ORDERS
from tests.e2e.night.operator import Operator
from tests.e2e.night.situations import Look, situation

PLACED = "waybill.order.OrderPlaced"
RUBBISH = ("--reason", "rubbish from a script that was ended")


def dead_letters(op: Operator) -> list[str]:
    return [str(line["key"]) for line in op.json("dead-letters", "--service", "inventory", "--messages")]


def discard_all(op: Operator) -> None:
    op.done("discard", "--service", "inventory", "--messages", "--topic", ORDERS, "--execute", *RUBBISH)


@situation("a record with a NUL in its key and headers", signal="outbox dead-letters", remedy="outbox discard")
def nul_in_a_key(op: Operator) -> Generator[Look]:
    sku = op.product()
    op.produce(ORDERS, b"a\0b", b"not ours", ce_type=PLACED, ce_id=b"\0\xff", note=b"\0")
    yield lambda: dead_letters(op)
    assert op.confirmed(sku)
    discard_all(op)
    yield lambda: not dead_letters(op)


@situation("a record with a key of 6,000 characters", signal="outbox dead-letters", remedy="outbox discard")
def long_key(op: Operator) -> Generator[Look]:
    sku = op.product()
    key = random.Random(1).randbytes(3_000).hex().encode()
    op.produce(ORDERS, key, b"not ours", ce_type=PLACED, ce_id=str(uuid4()))
    yield lambda: dead_letters(op)
    assert op.confirmed(sku)
    discard_all(op)
    yield lambda: not dead_letters(op)


@situation(
    "a record of an unknown schema from a clock that is ahead", signal="outbox dead-letters", remedy="outbox discard"
)
def unknown_schema(op: Operator) -> Generator[Look]:
    sku = op.product()
    value = b"\0" + (999_999).to_bytes(4, "big") + b"rest"
    op.produce(ORDERS, b"stranger", value, ahead_seconds=120, ce_type=PLACED, ce_id=str(uuid4()))
    assert op.confirmed(sku)  # its key waits, all others flow
    yield lambda: dead_letters(op)
    discard_all(op)
    yield lambda: not dead_letters(op)


@situation("a ce_sequence of 5,000 digits", signal="outbox verify", remedy="outbox discard, outbox acknowledge")
def endless_sequence(op: Operator) -> Generator[Look]:
    headers = {"ce_type": PLACED, "ce_id": str(uuid4()), "ce_sequence": "9" * 5_000}
    partition, offset = op.produce(ORDERS, b"digits", b"not ours", **headers)
    place = ("--topic", ORDERS, "--partition", str(partition), "--offset", str(offset))

    def named() -> bool:
        answer = op.outbox("verify", "--no-rows")
        assert "Traceback" not in answer.err, answer.err
        return answer.code == 1 and f"{ORDERS}/{partition}/{offset}" in answer.out and bool(dead_letters(op))

    yield named
    discard_all(op)
    op.done("acknowledge", "--service", "order", *place, "--execute", *RUBBISH)
    yield lambda: f"{ORDERS}/{partition}/{offset}" not in op.outbox("verify", "--no-rows").out

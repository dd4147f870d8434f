"""The shop on the session's stack."""

from collections.abc import Iterator

import pytest

from devstack.harness.stack import Stack, sent
from tests.support.shop import Shop


@pytest.fixture(scope="session")
def shop(stack: Stack) -> Iterator[Shop]:
    with stack.client("notification") as client:
        sent(client.put("/v1/contacts/me", json={"email": "ann@example.com"}), 200, 201)
    with stack.client("order") as customer, stack.client("inventory", stack.state["tokens"]["staff"]) as staff:
        yield Shop(stack, customer, staff)

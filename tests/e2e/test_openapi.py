"""schemathesis attacks each API by its published document: no 5xx, nothing undocumented, no schema mismatch.

`WAYBILL_TEST_SEED` gives another seed than the fixed one. What schemathesis prints names the seed, and each failing
request as a line of curl.
"""

import os
import re
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from devstack import demo
from devstack.harness.stack import Stack, sent
from devstack.services import SERVICES
from tests.support.shop import Shop, key

CONFIGURATION = Path(__file__).with_name("schemathesis.toml")
SCOPES = "orders inventory operations"
SEED = os.environ.get("WAYBILL_TEST_SEED", "20261121")
QUICK, DEEP = 5, 100  # examples of each operation
LONGEST_SECONDS = 60


def attack(stack: Stack, service: str, token: str, *, examples: int, longest_seconds: float) -> None:
    """Attack a service; a failure's message has schemathesis' own words."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(CONFIGURATION)),
            *("run", f"{stack.urls[service]}/v1/openapi.json", "--no-color"),
            *(f"--seed={SEED}", f"--max-examples={examples}", f"--header=Authorization: Bearer {token}"),
        ],
        env=os.environ | {"NO_PROXY": "*"},
        capture_output=True,
        text=True,
        timeout=longest_seconds,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-1000:]
    assert re.search(r"[1-9]\d* generated", done.stdout), done.stdout


@pytest.fixture(autouse=True)
def listed(shop: Shop) -> Iterator[None]:
    """Have the products that other tests order as they were: the examples of the inventory's document delist them."""
    yield
    received = {"kind": "received", "quantity": 1000, "reason": "delivery"}
    for sku in ("LAMP-01", "MUG-01"):
        name, unit_price = next(product[1:3] for product in demo.CATALOGUE if product[0] == sku)
        listing = {"name": name, "unit_price": unit_price, "currency": "EUR"}
        sent(shop.staff.put(f"/v1/products/{sku}", json=listing), 200, 201)
        sent(shop.staff.post(f"/v1/products/{sku}/stock", json=received, headers=key()), 200)
        shop.until_priced(sku, unit_price)


@pytest.mark.parametrize("service", SERVICES)
def test_an_api_does_what_its_document_says(stack: Stack, service: str):
    token = stack.token(f"schemathesis-{uuid.uuid4().hex[:8]}", SCOPES)
    attack(stack, service, token, examples=QUICK, longest_seconds=LONGEST_SECONDS)
    if service == "order":  # it has reached more than refusals
        with stack.client("order", token) as client:
            assert len(sent(client.get("/v1/orders"), 200)["items"]) > QUICK


@pytest.mark.slow
@pytest.mark.parametrize("service", SERVICES)
def test_an_api_does_what_its_document_says_in_many_cases(stack: Stack, service: str):
    attack(stack, service, stack.token("schemathesis", SCOPES), examples=DEEP, longest_seconds=5 * LONGEST_SECONDS)

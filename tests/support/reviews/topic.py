"""The events of the service in Go on their topic: registered, published by the relay, read as a subscriber does."""

import json
import os
import subprocess
import sys
from io import BytesIO
from typing import Any

import httpx2
from fastavro import parse_schema, schemaless_reader

from devstack.folder import CHECKOUT
from devstack.harness.databases import ServiceDatabase
from devstack.harness.stack import Stack
from tests.support import reviews
from tests.support.outbox_command import outbox
from tests.support.relays import Outbox, Record, read_topic, relay
from waybill.contracts.codec import unframe

TOPIC = "reviews.events.v1"
SCHEMAS = reviews.EXAMPLE / "schemas"


def published(database: ServiceDatabase, stack: Stack) -> list[Record]:
    """Publish all that stands in the outbox, and return the records of it."""
    _contracts("check")
    _contracts("topics", WAYBILL_KAFKA_BOOTSTRAP=stack.kafka)
    _contracts("register", WAYBILL_REGISTRY_URL=_registry(stack), WAYBILL_OWNER_DATABASE_URLS=database.owner_url)
    outboxes = Outbox(database, stack.kafka, TOPIC)
    operator = {
        "WAYBILL_OUTBOX_DATABASES": f"reviews={database.superuser_url}",
        "WAYBILL_KAFKA_BOOTSTRAP": stack.kafka,
        "WAYBILL_SCHEMAS": str(SCHEMAS),
    }
    with relay(outboxes, WAYBILL_SERVICE="reviews", WAYBILL_SCHEMAS=str(SCHEMAS)) as running:
        outboxes.wait_for_cursor(outboxes.execute("SELECT max(position) FROM waybill_outbox")[0][0])
        running.wait_for("a status that is well", lambda: outbox("status", **operator).code == 0, 30)
        verified = outbox("verify", **operator)
        assert verified.code == 0, verified
    return read_topic(stack.kafka, TOPIC)


def read(stack: Stack, record: Record) -> dict[str, Any]:
    """Decode a record with nothing but the registry."""
    schema_id, payload = unframe(record.value)
    schema = httpx2.get(f"{_registry(stack)}/schemas/ids/{schema_id}").raise_for_status().json()["schema"]
    return schemaless_reader(BytesIO(payload), parse_schema(json.loads(schema)), None)


def _contracts(*arguments: str, **environment: str) -> None:
    command = [sys.executable, "-m", "waybill", "contracts", *arguments]
    environment = os.environ | {"WAYBILL_SCHEMAS": str(SCHEMAS)} | environment
    subprocess.run(command, cwd=CHECKOUT, env=environment, check=True, timeout=60, capture_output=True)


def _registry(stack: Stack) -> str:
    return f"{stack.urls['registry']}/apis/ccompat/v7"

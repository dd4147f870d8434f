"""The answers that are kept for idempotency keys."""

from typing import ClassVar

from django.db import migrations

from waybill.database.adoption import CreateOrRename

CREATE = """
CREATE TABLE waybill_idempotency_key (
    caller      text NOT NULL,
    path        text NOT NULL,
    key         text NOT NULL,
    fingerprint text NOT NULL,
    status      integer NOT NULL,
    headers     jsonb NOT NULL,
    body        text NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (caller, path, key)
);
CREATE INDEX waybill_idempotency_key_age ON waybill_idempotency_key (created_at);
"""
TABLES = {"idempotency_key": "waybill_idempotency_key"}


class Migration(migrations.Migration):
    initial = True
    operations: ClassVar = [CreateOrRename(CREATE, "DROP TABLE waybill_idempotency_key", TABLES)]

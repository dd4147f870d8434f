"""How far the outbox was proved."""

from typing import ClassVar

from django.db import migrations

VERIFIED = """
CREATE TABLE verified (
    id          smallint PRIMARY KEY DEFAULT 1 CHECK (id = 1),
    position    bigint NOT NULL,
    verified_by text NOT NULL,
    verified_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE verified IS 'outbox verify found nothing up to the position';
"""


class Migration(migrations.Migration):
    dependencies: ClassVar = [("chassis", "0014_consumer_position")]
    operations: ClassVar = [migrations.RunSQL(VERIFIED, "DROP TABLE verified")]

"""As whom the application publishes and consumes, so that programs without its code can know."""

from typing import ClassVar

from django.db import migrations

SERVICE = """
CREATE TABLE waybill_service (
    id              smallint PRIMARY KEY DEFAULT 1 CHECK (id = 1),
    name            text NOT NULL,
    settings_module text,
    recorded_at     timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE waybill_service IS 'whose database this is; written by migrate and by the consumer';
COMMENT ON COLUMN waybill_service.name IS 'its consumer group, and the last part of its records'' ce_source';
COMMENT ON COLUMN waybill_service.settings_module IS 'of a Django project; NULL: `python -m waybill NAME` runs it';
"""
BACK = "DROP TABLE waybill_service"


class Migration(migrations.Migration):
    dependencies: ClassVar = [("waybill_outbox", "0001_initial")]
    operations: ClassVar = [migrations.RunSQL(SERVICE, BACK)]

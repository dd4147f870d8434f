"""What callers' requests count up to, between the processes of a service."""

from typing import ClassVar

from django.db import migrations

CREATE = """
CREATE UNLOGGED TABLE waybill_rate_limit (
    window_at bigint NOT NULL,
    caller    text NOT NULL,
    requests  bigint NOT NULL,
    PRIMARY KEY (window_at, caller)
);
"""


class Migration(migrations.Migration):
    dependencies: ClassVar = [("waybill_rest", "0001_initial")]
    operations: ClassVar = [migrations.RunSQL(CREATE, "DROP TABLE waybill_rate_limit")]

"""One row a schema id, for ever: an event version may have several, and is written with the current one."""

from typing import ClassVar

from django.db import migrations

# A table of some dozen rows: the index is built at once.
FOR_EVER = """
ALTER TABLE schema_id ADD COLUMN current boolean NOT NULL DEFAULT true,
                      DROP CONSTRAINT schema_id_pkey,
                      ADD PRIMARY KEY (schema_id);
CREATE UNIQUE INDEX schema_id_current ON schema_id (event_type, schema_version) WHERE current;
COMMENT ON COLUMN schema_id.current IS 'records are written with this id; with any other they can be read';
"""
GONE = """
DELETE FROM schema_id WHERE NOT current;
DROP INDEX schema_id_current;
ALTER TABLE schema_id DROP CONSTRAINT schema_id_pkey,
                      ADD PRIMARY KEY (event_type, schema_version),
                      DROP COLUMN current;
"""


class Migration(migrations.Migration):
    dependencies: ClassVar = [("chassis", "0006_abandoned_replay")]
    operations: ClassVar = [migrations.RunSQL(FOR_EVER, GONE)]

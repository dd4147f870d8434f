"""The text of each registered schema, so that a program reads what a newer one writes, with the registry away."""

from typing import ClassVar

from django.db import migrations

TEXT = """
ALTER TABLE schema_id ADD COLUMN schema text;
COMMENT ON COLUMN schema_id.schema IS 'as registered; NULL until `python -m schemas register` has run again';
"""
GONE = "ALTER TABLE schema_id DROP COLUMN schema"


class Migration(migrations.Migration):
    dependencies: ClassVar = [("chassis", "0004_attention")]
    operations: ClassVar = [migrations.RunSQL(TEXT, GONE)]

"""What was done by way of the console, on record in its own database: before anything is done.

What it leads to in a service's database is on record there too, by the operation itself.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

from django.db import connection

RECORD: Final = (
    "INSERT INTO waybill_operator_action (operator, verb, reason, what) VALUES (%s, %s, %s, %s::jsonb) RETURNING id"
)


def record(operator: str, verb: str, reason: str, what: Mapping[str, Any]) -> int:
    """Write who asks for what, and why; returns the row's id. Raises what the database raises."""
    with connection.cursor() as cursor:
        cursor.execute(RECORD, [operator, verb, reason, json.dumps(dict(what), default=str)])
        return cursor.fetchone()[0]

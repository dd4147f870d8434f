"""As whom an application publishes and consumes, recorded in its own database.

The `outbox` command needs the consumer group and the source of the records, and has the database and no setting of the
application's. So `migrate` records the name, and each consumer at its start.
"""

from typing import Any, Final

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, connections, router

from waybill.application import ApplicationUnknown, application

THERE: Final = "SELECT to_regclass('waybill_service') IS NOT NULL"
RECORD: Final = """
INSERT INTO waybill_service AS known (name, settings_module) VALUES (%s, %s)
ON CONFLICT (id) DO UPDATE
SET name = excluded.name, settings_module = excluded.settings_module, recorded_at = clock_timestamp()
WHERE (known.name, known.settings_module) IS DISTINCT FROM (excluded.name, excluded.settings_module)
"""


def record(name: str, using: str = DEFAULT_DB_ALIAS) -> None:
    """Record the name, and the project's settings module where it has one. Raises what the database raises."""
    with connections[using].cursor() as cursor:
        cursor.execute(RECORD, [name, getattr(settings, "SETTINGS_MODULE", None)])


def record_migrated(*, using: str, **_: Any) -> None:
    """Record the project's name once its outbox is migrated; for Django's signal `post_migrate`.

    A service that `python -m waybill SERVICE` runs has no setting WAYBILL; its program records the name.
    """
    from waybill.outbox.models import OutboxEvent

    name = own_name()
    if name is None or using != router.db_for_write(OutboxEvent):
        return
    with connections[using].cursor() as cursor:
        cursor.execute(THERE)
        (there,) = cursor.fetchone()
    if there:  # else it was migrated backwards
        record(name, using)


def own_name() -> str | None:
    """Return the name that the project's setting WAYBILL gives; None where there is none."""
    if not hasattr(settings, "WAYBILL"):
        return None
    try:
        return application().service
    except ApplicationUnknown:  # `manage.py check` says what is wrong
        return None

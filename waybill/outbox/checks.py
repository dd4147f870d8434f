"""What `manage.py check` says of an outbox that is set up wrongly, or not safely; `--database default` asks it too."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from django.apps import AppConfig, apps
from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning  # noqa: A004 - Django's names
from django.db import DatabaseError, connections, router

from waybill.application import ApplicationUnknown, application, event_classes
from waybill.contracts.fields import ContractError
from waybill.contracts.topics import is_private, topics

PATTERN: Final = "django_outbox_pattern"
THERE: Final = "SELECT to_regclass('waybill_outbox') IS NOT NULL"
UNSAFE: Final = "SELECT current_setting('synchronous_commit') = 'off'"
# Of roles that can log in, are no superuser and do not own the tables.
RELAYS: Final = """
SELECT count(*) FROM pg_roles, pg_class
WHERE pg_class.oid = 'waybill_outbox_cursor'::regclass AND rolcanlogin AND NOT rolsuper
  AND pg_roles.oid <> relowner
  AND has_table_privilege(pg_roles.oid, pg_class.oid, 'UPDATE')
  AND NOT pg_has_role(pg_roles.oid, relowner, 'USAGE')
"""


def check_settings(app_configs: Sequence[AppConfig] | None, **_: Any) -> list[CheckMessage]:
    """Check what the library is told, and where the outbox stands; asks no database."""
    if app_configs is not None and not any(app.label == "waybill_outbox" for app in app_configs):
        return []
    return [*_installed(), *_configured(), *_beside_models()]


def check_databases(databases: Iterable[str] | None, **_: Any) -> list[CheckMessage]:
    """Check the server's settings and roles, on the databases that Django was asked to check."""
    from waybill.outbox.models import OutboxEvent

    alias = router.db_for_write(OutboxEvent)
    return list(_server(alias)) if alias in (databases or ()) else []


def _installed() -> Iterator[CheckMessage]:
    if not apps.is_installed(PATTERN):
        hint = f"Add {PATTERN!r} before 'waybill.outbox': its table keeps what the broker refused."
        yield Error(f"{PATTERN!r} is not in INSTALLED_APPS", hint=hint, id="waybill.E001")


def _configured() -> Iterator[CheckMessage]:
    try:
        app = application()
        known = {topic.name for topic in topics()}
        if hasattr(settings, "WAYBILL"):  # a service that `python -m waybill SERVICE` runs is named there
            app.own_service  # noqa: B018 - raises where it is missing
        classes = event_classes().values()
    except (ApplicationUnknown, ContractError) as error:
        yield Error(str(error), hint="Correct WAYBILL = {'SERVICE': …, 'EVENTS': …, 'SCHEMAS': …}.", id="waybill.E002")
        return
    for event in classes:
        if event.topic and event.topic not in known:
            folder = app.schemas / event.topic
            hint = "Write the .avsc file, then run: python manage.py contracts generate"
            yield Error(
                f"{event.__name__} goes to {event.topic!r}: no schema in {folder}", hint=hint, id="waybill.E003"
            )
    for folder in sorted(path for path in app.schemas.iterdir() if path.is_dir() and not path.name.startswith("_")):
        if folder.name not in known and not is_private(folder.name):
            hint = f"Write an .avsc file into {folder}, or remove the folder."
            yield Warning(f"the topic {folder.name!r} has no schema", hint=hint, id="waybill.W001")


def _beside_models() -> Iterator[CheckMessage]:
    from waybill.outbox.models import OutboxEvent

    outbox = router.db_for_write(OutboxEvent)
    own = [model for app in apps.get_app_configs() if not _is_library(app) for model in app.get_models()]
    if own and all(router.db_for_write(model) != outbox for model in own):
        hint = "Route waybill.outbox to the database of the models: row and event commit in one transaction."
        yield Error(f"the outbox is in {outbox!r}, and no model of the project is", hint=hint, id="waybill.E004")
    if connections[outbox].vendor != "postgresql":
        hint = "The relay relies on PostgreSQL's transaction ids and locks."
        yield Error(f"the outbox is in {outbox!r}, which is {connections[outbox].vendor}", hint=hint, id="waybill.E005")


def _is_library(app: AppConfig) -> bool:
    return app.name.partition(".")[0] in {"django", "waybill", PATTERN}


def _server(alias: str) -> Iterator[CheckMessage]:
    try:
        with connections[alias].cursor() as cursor:
            cursor.execute(UNSAFE)
            if cursor.fetchone() == (True,):
                hint = "Set it to on, for the role or the database: a crash could take back what was published."
                yield Error(f"synchronous_commit is off in {alias!r}", hint=hint, id="waybill.E006")
            cursor.execute(THERE)
            if cursor.fetchone() != (True,):
                return  # before the first migrate
            cursor.execute(RELAYS)
            if cursor.fetchone() == (0,):
                hint = "Give the relay a role of its own: manage.py grant_relay ROLE"
                yield Warning(
                    f"no role but the tables' owner may relay the outbox of {alias!r}", hint=hint, id="waybill.W002"
                )
    except DatabaseError as error:
        yield Warning(f"{alias!r} was not checked: {error}".strip(), id="waybill.W003")

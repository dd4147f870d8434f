"""Which models live on a service: OPTIONS["models"] of its connection names apps and models (`reviews.review`)."""

from collections.abc import Iterable
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections, router

ENGINE = "waybill.rest_backend"


class ServiceRouter:
    """Send models to the service that names them, and leave all others to what comes next."""

    def db_for_read(self, model: Any, instance: Any = None, **_hints: Any) -> str | None:
        """Return the model's service; the default database for what a service's row refers to and no service has."""
        meta = model._meta  # noqa: SLF001 - Django's documented _meta
        if (found := _alias(meta.app_label, meta.model_name)) is not None:
            return found
        if instance is None or not _names_models(instance._state.db):  # noqa: SLF001 - documented
            return None
        return DEFAULT_DB_ALIAS  # Django would look where the row is that refers to it

    db_for_write = db_for_read

    def allow_relation(self, first: Any, second: Any, **_hints: Any) -> bool | None:
        """Let rows of a service and of any database refer to each other: an id is an id."""
        return True if self.db_for_read(first) or self.db_for_read(second) else None

    def allow_migrate(self, db: str, app_label: str, model_name: str | None = None, **_hints: Any) -> bool | None:
        """Keep migrations from services, and models of services from databases."""
        if db in services():
            return False
        return False if model_name is not None and _alias(app_label, model_name.lower()) else None


def has(models: Iterable[str], app_label: str, model_name: str) -> bool:
    """Tell whether OPTIONS["models"] names a model, or its app."""
    homes = {name.lower() for name in models}
    return f"{app_label}.{model_name}" in homes or app_label in homes


def services() -> dict[str, Any]:
    """Return the settings of the connections to services, by alias."""
    return {alias: database for alias, database in connections.settings.items() if database.get("ENGINE") == ENGINE}


def service_of(model: Any) -> str | None:
    """Return the alias of the service that routers send a model to, or None."""
    for one in router.routers:
        if (choose := getattr(one, "db_for_read", None)) and (found := choose(model)):
            return found if found in services() else None
    return None


def _names_models(alias: str) -> bool:
    """Tell a service that has some models from one that has whatever it is asked for, and from a local database."""
    return bool(services().get(alias, {}).get("OPTIONS", {}).get("models"))


def _alias(app_label: str, model_name: str) -> str | None:
    for alias, database in services().items():
        if has(database.get("OPTIONS", {}).get("models", ()), app_label, model_name):
            return alias
    return None

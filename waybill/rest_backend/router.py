"""Which models live on a service: OPTIONS["models"] of its connection names apps and models (`reviews.review`)."""

from typing import Any

from django.db import connections

ENGINE = "waybill.rest_backend"


class ServiceRouter:
    """Send models to the service that names them, and leave all others to what comes next."""

    def db_for_read(self, model: Any, **_hints: Any) -> str | None:
        """Return the model's service."""
        meta = model._meta  # noqa: SLF001 - Django's documented _meta
        return _alias(meta.app_label, meta.model_name)

    db_for_write = db_for_read

    def allow_relation(self, first: Any, second: Any, **_hints: Any) -> bool | None:
        """Let rows of a service and of any database refer to each other: an id is an id."""
        return True if self.db_for_read(type(first)) or self.db_for_read(type(second)) else None

    def allow_migrate(self, db: str, app_label: str, model_name: str | None = None, **_hints: Any) -> bool | None:
        """Keep migrations from services, and models of services from databases."""
        if db in services():
            return False
        return False if model_name is not None and _alias(app_label, model_name.lower()) else None


def _alias(app_label: str, model_name: str) -> str | None:
    for alias, database in services().items():
        homes = {name.lower() for name in database.get("OPTIONS", {}).get("models", ())}
        if f"{app_label}.{model_name}" in homes or app_label in homes:
            return alias
    return None


def services() -> dict[str, Any]:
    """Return the settings of the connections to services, by alias."""
    return {alias: database for alias, database in connections.settings.items() if database.get("ENGINE") == ENGINE}

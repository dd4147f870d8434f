"""The Django app of the outbox, and of what its relay and operators keep beside it."""

from django.apps import AppConfig
from django.core import checks


class OutboxConfig(AppConfig):
    """Its tables begin with `waybill_`, beside whatever else the database holds."""

    name = "waybill.outbox"
    label = "waybill_outbox"
    verbose_name = "Outbox"

    def ready(self) -> None:
        """Register the system checks."""
        from waybill.outbox.checks import check_databases, check_settings

        checks.register(check_settings)
        checks.register(check_databases, checks.Tags.database)

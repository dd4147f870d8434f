"""The Django app of the outbox, and of what its relay and operators keep beside it."""

from django.apps import AppConfig
from django.core import checks
from django.db.models.signals import post_migrate


class OutboxConfig(AppConfig):
    """Its tables begin with `waybill_`, beside whatever else the database holds."""

    name = "waybill.outbox"
    label = "waybill_outbox"
    verbose_name = "Outbox"

    def ready(self) -> None:
        """Register the system checks, and record the project's name after each `migrate`."""
        from waybill.outbox.checks import check_databases, check_settings
        from waybill.outbox.service_name import record_migrated

        checks.register(check_settings)
        checks.register(check_databases, checks.Tags.database)
        post_migrate.connect(record_migrated, sender=self, dispatch_uid="waybill.outbox")

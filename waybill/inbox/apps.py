"""The Django app of the inbox: what was received once, and how far each partition was read."""

from django.apps import AppConfig, apps
from django.db.models.signals import post_migrate


class InboxConfig(AppConfig):
    """Its tables begin with `waybill_`, beside whatever else the database holds."""

    name = "waybill.inbox"
    label = "waybill_inbox"
    verbose_name = "Inbox"

    def ready(self) -> None:
        """Record the project's handlers after each `migrate`."""
        from waybill.inbox.reactions import record_migrated

        # The signal is sent for apps with models alone, once all are migrated; that app has the ids of the schemas.
        outbox = apps.get_app_config("waybill_outbox")
        post_migrate.connect(record_migrated, sender=outbox, dispatch_uid="waybill.inbox")

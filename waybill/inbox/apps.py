"""The Django app of the inbox: what was received once, and how far each partition was read."""

from django.apps import AppConfig


class InboxConfig(AppConfig):
    """Its tables begin with `waybill_`, beside whatever else the database holds."""

    name = "waybill.inbox"
    label = "waybill_inbox"
    verbose_name = "Inbox"

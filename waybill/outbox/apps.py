"""The Django app of the outbox, and of what its relay and operators keep beside it."""

from django.apps import AppConfig


class OutboxConfig(AppConfig):
    """Its tables begin with `waybill_`, beside whatever else the database holds."""

    name = "waybill.outbox"
    label = "waybill_outbox"
    verbose_name = "Outbox"

"""The Django app of the tables that `python -m waybill migrate` keeps beside the outbox."""

from django.apps import AppConfig


class MigrateConfig(AppConfig):
    """Its tables begin with `waybill_`, beside whatever else the database holds."""

    name = "waybill.migrate"
    label = "waybill_migrate"
    verbose_name = "Migration to services"

"""The Django app of due tasks."""

from django.apps import AppConfig


class TasksConfig(AppConfig):
    """Its tables begin with `waybill_`, beside whatever else the database holds."""

    name = "waybill.tasks"
    label = "waybill_tasks"
    verbose_name = "Due tasks"

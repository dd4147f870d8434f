"""The Django app that owns the tables every service has."""

from django.apps import AppConfig


class WaybillConfig(AppConfig):
    """Keeps the label under which its migrations are recorded in the databases that exist."""

    name = "waybill"
    label = "chassis"

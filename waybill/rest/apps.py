"""The Django app of the answers that are kept for idempotency keys."""

from django.apps import AppConfig


class RestConfig(AppConfig):
    """Its tables begin with `waybill_`, beside whatever else the database holds."""

    name = "waybill.rest"
    label = "waybill_rest"
    verbose_name = "REST"

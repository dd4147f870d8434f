"""`manage.py seal_secrets`: encrypt every secret that the database keeps by the first key."""

from typing import Any

from django.apps import apps
from django.core.management.base import BaseCommand
from django.db import transaction

from waybill.database.sealing import SealedText


class Command(BaseCommand):
    """Write every secret anew: after a key was put in front, so that the ones behind it can be taken away."""

    help = "Encrypt every secret of a SealedText by the first key of WAYBILL_ENCRYPTION_KEYS."

    def handle(self, *_: str, **__: Any) -> None:
        """Do so row by row, each in a transaction of its own; safe while the service works."""
        for model in apps.get_models():
            fields = [one.name for one in model._meta.concrete_fields if isinstance(one, SealedText)]  # noqa: SLF001
            if fields:
                self.stdout.write(f"{model.__name__}: {_seal(model, fields)} rows sealed")


def _seal(model: Any, fields: list[str]) -> int:
    keys = list(model.objects.values_list("pk", flat=True))
    for key in keys:
        with transaction.atomic():
            row = model.objects.select_for_update().filter(pk=key).first()
            if row is not None:
                row.save(update_fields=fields)
    return len(keys)

"""`python -m waybill notification_service manage seal_secrets`: encrypt every webhook's secrets by the first key."""

from typing import Any

from django.core.management.base import BaseCommand
from django.db import transaction

from notification_service.models import WebhookTargetRow


class Command(BaseCommand):
    """Write every secret anew: after a key was put in front, so that the ones behind it can be taken away."""

    help = "Encrypt every webhook's secrets by the first key of WAYBILL_ENCRYPTION_KEYS."

    def handle(self, *_: str, **__: Any) -> None:
        """Do so row by row, each in a transaction of its own; safe while the service works."""
        ids = list(WebhookTargetRow.objects.values_list("pk", flat=True))
        for webhook_id in ids:
            with transaction.atomic():
                target = WebhookTargetRow.objects.select_for_update().filter(pk=webhook_id).first()
                if target is not None:
                    target.save(update_fields=["secret", "previous_secret"])
        self.stdout.write(f"sealed the secrets of {len(ids)} webhooks")

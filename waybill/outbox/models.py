"""The tables of the outbox as Django models, to look at: in the admin pages and in a project's own queries.

Django neither creates nor changes them; nothing in the library writes through them.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import models


class OutboxEvent(models.Model):
    """One event, as it was appended."""

    position: "models.BigIntegerField[int, int]" = models.BigIntegerField(primary_key=True)
    event_id: "models.UUIDField[UUID, UUID]" = models.UUIDField(unique=True)
    topic: "models.TextField[str | None, str | None]" = models.TextField(null=True)
    aggregate_type: "models.TextField[str, str]" = models.TextField()
    aggregate_id: "models.TextField[str, str]" = models.TextField()
    aggregate_version: "models.IntegerField[int, int]" = models.IntegerField()
    event_type: "models.TextField[str, str]" = models.TextField()
    schema_version: "models.IntegerField[int, int]" = models.IntegerField()
    payload: "models.BinaryField[Any, Any]" = models.BinaryField()
    metadata: "models.JSONField[Any, Any]" = models.JSONField()
    recorded_at: "models.DateTimeField[datetime, datetime]" = models.DateTimeField()

    class Meta:
        managed = False
        db_table = "waybill_outbox"
        verbose_name = "event"
        ordering = ["-position"]

    def __str__(self) -> str:
        """Return type, aggregate and version."""
        return f"{self.event_type} {self.aggregate_id} v{self.aggregate_version}"


class OperatorAction(models.Model):
    """What an operator did, when and why."""

    id: "models.BigIntegerField[int, int]" = models.BigIntegerField(primary_key=True)
    operator: "models.TextField[str, str]" = models.TextField()
    verb: "models.TextField[str, str]" = models.TextField()
    reason: "models.TextField[str, str]" = models.TextField()
    what: "models.JSONField[Any, Any]" = models.JSONField()
    acted_at: "models.DateTimeField[datetime, datetime]" = models.DateTimeField()

    class Meta:
        managed = False
        db_table = "waybill_operator_action"
        verbose_name = "operator's action"
        ordering = ["-id"]

    def __str__(self) -> str:
        """Return who did what."""
        return f"{self.verb} by {self.operator}"

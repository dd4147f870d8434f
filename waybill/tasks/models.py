"""Due tasks as a Django model, to look at. Django neither creates nor changes the table; nothing writes through it."""

from datetime import datetime
from uuid import UUID

from django.db import models


class DueTask(models.Model):
    """What a worker has to do for one event, and how its attempts went."""

    id: "models.BigIntegerField[int, int]" = models.BigIntegerField(primary_key=True)
    task: "models.TextField[str, str]" = models.TextField()
    event_id: "models.UUIDField[UUID, UUID]" = models.UUIDField()
    due_at: "models.DateTimeField[datetime, datetime]" = models.DateTimeField()
    attempts: "models.IntegerField[int, int]" = models.IntegerField()
    last_error: "models.TextField[str | None, str | None]" = models.TextField(null=True)
    first_attempt_at: "models.DateTimeField[datetime | None, datetime | None]" = models.DateTimeField(null=True)
    attention_since: "models.DateTimeField[datetime | None, datetime | None]" = models.DateTimeField(null=True)
    remediation: "models.TextField[str | None, str | None]" = models.TextField(null=True, db_column="way_out")

    class Meta:
        managed = False
        db_table = "waybill_due_task"
        verbose_name = "due task"
        ordering = ["due_at"]

    def __str__(self) -> str:
        """Return the task and its event."""
        return f"{self.task} of {self.event_id}"

"""Admin pages of the outbox, read-only."""

import json
from typing import Any

import django_outbox_pattern.admin  # noqa: F401 # pyright: ignore[reportMissingTypeStubs, reportUnusedImport]
from django.contrib import admin
from django_outbox_pattern.models import Published  # pyright: ignore[reportMissingTypeStubs] - it has none

from waybill.consumer import schema_ids
from waybill.contracts.codec import UnreadableEvent
from waybill.database.read_only import ReadOnlyAdmin
from waybill.outbox.models import OperatorAction, OutboxEvent


@admin.register(OutboxEvent)
class OutboxEventAdmin(ReadOnlyAdmin):
    """The events, newest first, with their fields decoded."""

    list_display = ["position", "event_type", "aggregate_id", "aggregate_version", "topic", "recorded_at"]
    list_filter = ["event_type"]
    search_fields = ["=event_id", "=aggregate_id"]
    fields = [
        "position", "event_id", "topic", "aggregate_type", "aggregate_id", "aggregate_version", "event_type",
        "schema_version", "event", "metadata", "recorded_at",
    ]  # fmt: skip
    readonly_fields = ["event"]

    @admin.display(description="event")
    def event(self, row: OutboxEvent) -> str:
        """Return the event's fields as JSON, or why they cannot be read."""
        try:
            event: Any = schema_ids.decode(row.event_type, row.schema_version, bytes(row.payload))
        except UnreadableEvent as error:
            return str(error)
        return json.dumps(event.to_avro(), default=str, indent=2)


admin.site.unregister(Published)  # whose own page, imported above whatever the sequence of the apps, has a form


@admin.register(Published)
class PublishedAdmin(ReadOnlyAdmin):
    """Publications that the broker refused, and what became of them; `outbox redrive` and `discard` act on them."""

    list_display = ["id", "destination", "status", "added"]
    list_filter = ["status", "destination"]


@admin.register(OperatorAction)
class OperatorActionAdmin(ReadOnlyAdmin):
    """Who paused, redrove, discarded or replayed what, when and why."""

    list_display = ["acted_at", "operator", "verb", "reason"]
    list_filter = ["verb"]
    search_fields = ["operator", "reason"]

"""Admin page of the due tasks, read-only."""

from django.contrib import admin

from waybill.database.read_only import ReadOnlyAdmin
from waybill.tasks.models import DueTask


@admin.register(DueTask)
class DueTaskAdmin(ReadOnlyAdmin):
    """What is due, soonest first; what needs an operator says since when, and what to do."""

    list_display = ["task", "event_id", "due_at", "attempts", "last_error", "attention_since"]
    list_filter = ["task", ("attention_since", admin.EmptyFieldListFilter)]
    search_fields = ["=event_id"]

"""Admin pages of the inbox, read-only."""

from typing import Any

import django_outbox_pattern.admin  # noqa: F401 # pyright: ignore[reportMissingTypeStubs, reportUnusedImport]
from django.contrib import admin
from django_outbox_pattern.choices import StatusChoice  # pyright: ignore[reportMissingTypeStubs] - it has none
from django_outbox_pattern.models import Received  # pyright: ignore[reportMissingTypeStubs]

from waybill.database.read_only import ReadOnlyAdmin

admin.site.unregister(Received)  # whose own page, imported above whatever the sequence of the apps, has a form


@admin.register(Received)
class ReceivedAdmin(ReadOnlyAdmin):
    """Messages received once; those with the status FAILED are dead letters: `manage.py redrive` handles them again."""

    list_display = ["msg_id", "status", "topic", "key", "reason", "added"]
    list_filter = ["status"]
    search_fields = ["=msg_id"]
    ordering = ["-added"]

    @admin.display(description="topic")
    def topic(self, row: Any) -> str:
        """Return the topic of a dead letter."""
        return _header(row, "topic")

    @admin.display(description="key")
    def key(self, row: Any) -> str:
        """Return the key of a dead letter's record."""
        return _header(row, "key")

    @admin.display(description="reason")
    def reason(self, row: Any) -> str:
        """Return why a dead letter could not be handled."""
        return _header(row, "reason") if row.status == StatusChoice.FAILED else ""


def _header(row: Any, name: str) -> str:
    headers: dict[str, Any] = row.headers or {}
    return str(headers.get(name, ""))

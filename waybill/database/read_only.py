"""Admin pages to look at: rows are changed by the operations of the `outbox` command, which leave an audit row."""

from typing import Any

from django.contrib.admin import ModelAdmin
from django.http import HttpRequest


class ReadOnlyAdmin(ModelAdmin):  # pyright: ignore[reportMissingTypeArgument] - only its stubs are generic
    """A page without a button that writes; whoever may view the model sees it."""

    show_full_result_count = False  # counting a long table reads all of it

    def has_add_permission(self, request: HttpRequest) -> bool:  # noqa: ARG002 - Django's signature
        """Say no."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        """Say no."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        """Say no."""
        return False

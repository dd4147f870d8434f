"""The append-only outbox, and the wake-up signal that follows a commit.

`append` is what a project calls; the package is the Django app `waybill.outbox`.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from waybill.outbox.appending import append
    from waybill.outbox.outbox import Appended, AppendRefused

__all__ = ["AppendRefused", "Appended", "append"]


def __getattr__(name: str) -> Any:
    """Import on first use: Django imports this package before its models may be."""
    if name == "append":
        from waybill.outbox.appending import append

        return append
    if name in __all__:
        from waybill.outbox import outbox

        return getattr(outbox, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

"""What a service has more while rows move to it or from it: an outbox, an inbox, and what applies the shop's rows."""

from pathlib import Path

INSTALLED_APPS = ["django_outbox_pattern", "waybill.outbox", "waybill.inbox", "waybill.migrate"]
PERSONAL = [
    "author",
    "text",
    "name",
    "email",
    "phone",
    "street",
    "postcode",
    "city",
    "note",
    "sender",
    "recipients",
    "content",
]


def waybill(name):
    """What Waybill is told of the service whose folder has this name."""
    folder = Path(__file__).parent / name
    return {
        "SERVICE": f"shop-{name}",
        "EVENTS": f"{name}.events",
        "SCHEMAS": folder / "schemas",
        "MAPPING": folder / "migrate.toml",
        "PERSONAL": PERSONAL,
    }

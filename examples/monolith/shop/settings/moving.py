"""All models in one database, and an outbox, an inbox and the app that moves rows: the first step of a way out."""

from shop.settings.monolith import *  # noqa: F403 - the usual layers of Django settings
from shop.settings.monolith import BASE_DIR, INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "django_outbox_pattern", "waybill.outbox", "waybill.inbox", "waybill.migrate"]
WAYBILL = {
    "SERVICE": "shop",
    "EVENTS": "shop.settings.events",
    "SCHEMAS": BASE_DIR / "schemas",
    "MAPPING": BASE_DIR / "migrate.toml",
    "MAIL": "shop.MailRequested",
    "PERSONAL": [
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
    ],
}

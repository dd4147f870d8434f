"""All models in one database, and the orders told of on a topic: the first step of a way out."""

from shop.settings.monolith import *  # noqa: F403 - the usual layers of Django settings
from shop.settings.monolith import BASE_DIR, INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "django_outbox_pattern", "waybill.outbox", "waybill.migrate"]
WAYBILL = {"SERVICE": "shop", "EVENTS": "shop.settings.events", "SCHEMAS": BASE_DIR / "schemas"}

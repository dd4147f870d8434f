"""The shop's models on services: all, or those of the apps that SHOP_ON_SERVICES names, as in `reviews,orders`.

The others are in the local database, with users, sessions and the admin's log.
"""

import os

from django.core.exceptions import ImproperlyConfigured

from shop.settings import moving
from shop.settings.monolith import *  # noqa: F403 - the usual layers of Django settings
from shop.settings.monolith import DATABASES, EMAIL_BACKEND, INSTALLED_APPS, MIDDLEWARE, TEMPLATES

RESOURCES = {
    "catalogue": {"catalogue.category": "categories", "catalogue.product": "products"},
    "customers": {"customers.customer": "customers", "customers.address": "addresses"},
    "orders": {"orders.order": "orders", "orders.orderline": "lines"},
    "reviews": {"reviews.review": "reviews"},
}
PORTS = {"catalogue": 8101, "customers": 8102, "orders": 8103, "reviews": 8104}
MOVED = [name for name in os.environ.get("SHOP_ON_SERVICES", ",".join(RESOURCES)).split(",") if name]
if unknown := sorted(set(MOVED) - RESOURCES.keys()):
    raise ImproperlyConfigured(f"SHOP_ON_SERVICES names {', '.join(unknown)}; there are {', '.join(RESOURCES)}")


def token():
    """What the services know the shop by."""
    return os.environ.get("SHOP_TOKEN", "insecure: for development only")


def service(name):
    """An app's models on the service at CATALOGUE_URL and so on."""
    return {
        "ENGINE": "waybill.rest_backend",
        "NAME": os.environ.get(f"{name.upper()}_URL", f"http://127.0.0.1:{PORTS[name]}/v1"),
        "OPTIONS": {"models": [name], "resources": RESOURCES[name], "token": token},
        "TEST": {"RESET": "shop.settings.emptying.empty"},
    }


DATABASES["default"]["ENGINE"] = "waybill.rest_backend.postgresql"  # whose models may refer to those of services
DATABASES |= {name: service(name) for name in MOVED}
DATABASE_ROUTERS = ["waybill.rest_backend.router.ServiceRouter"]
MIDDLEWARE = [
    "waybill.rest_backend.middleware.incoming.pass_on",
    *MIDDLEWARE,
    "waybill.rest_backend.middleware.own_writes.read_own_writes",
    "waybill.rest_backend.middleware.unavailable.UnavailablePage",
    "waybill.rest_backend.middleware.form_versions.keep_form_versions",
    "waybill.rest_backend.middleware.form_errors.FormErrors",
]
TEMPLATES[0]["OPTIONS"]["builtins"] = ["waybill.rest_backend.middleware.form_versions"]
if EMAIL_BACKEND == "waybill.outbox.mail.OutboxBackend":
    INSTALLED_APPS, WAYBILL = moving.INSTALLED_APPS, moving.WAYBILL  # which has the outbox

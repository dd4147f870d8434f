"""Settings of the service of orders."""

from shared_settings import *  # noqa: F403 - the usual layers of Django settings
from shared_settings import database

INSTALLED_APPS = ["waybill.rest", "orders"]
ROOT_URLCONF = "orders.urls"
DATABASES = database("shop_orders")

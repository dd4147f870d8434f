"""Settings of the service of customers."""

from shared_settings import *  # noqa: F403 - the usual layers of Django settings
from shared_settings import database

INSTALLED_APPS = ["waybill.rest", "customers"]
ROOT_URLCONF = "customers.urls"
DATABASES = database("shop_customers")

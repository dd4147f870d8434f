"""Settings of the service of catalogue."""

from shared_settings import *  # noqa: F403 - the usual layers of Django settings
from shared_settings import database

INSTALLED_APPS = ["waybill.rest", "catalogue"]
ROOT_URLCONF = "catalogue.urls"
DATABASES = database("shop_catalogue")

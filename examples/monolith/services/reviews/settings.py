"""Settings of the service of reviews."""

from shared_settings import *  # noqa: F403 - the usual layers of Django settings
from shared_settings import database

INSTALLED_APPS = ["waybill.rest", "reviews"]
ROOT_URLCONF = "reviews.urls"
DATABASES = database("shop_reviews")

"""Settings of the service of mails: it sends what the shop asks for, and has no model of its own."""

import os

import moving
from shared_settings import *  # noqa: F403 - the usual layers of Django settings
from shared_settings import database

INSTALLED_APPS = ["django_outbox_pattern", "waybill.outbox", "waybill.inbox", "mails"]
DATABASES = database("shop_mails")
WAYBILL = moving.waybill("mails")
EMAIL_HOST = os.environ.get("EMAIL_HOST", "localhost")
EMAIL_PORT = int(os.environ.get("EMAIL_PORT", "25"))
EMAIL_HOST_USER = os.environ.get("EMAIL_HOST_USER", "")
EMAIL_HOST_PASSWORD = os.environ.get("EMAIL_HOST_PASSWORD", "")
EMAIL_USE_TLS = os.environ.get("EMAIL_USE_TLS") == "1"
EMAIL_TIMEOUT = 10  # seconds

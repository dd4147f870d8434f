"""Settings of a project with the bookings' tables, for programs: the database is that of BOOKINGS_URL."""

import os

from devstack.folder import CHECKOUT
from waybill.runtime.django_settings import database

SECRET_KEY = "of tests"
USE_TZ = True
INSTALLED_APPS = ["django_outbox_pattern", "waybill.outbox", "waybill.inbox", "waybill.migrate"]
DATABASES = {"default": database(os.environ["BOOKINGS_URL"])}
WAYBILL = {"SERVICE": "bookings", "EVENTS": "schemas.events", "SCHEMAS": CHECKOUT / "schemas"}

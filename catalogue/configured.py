"""Importing this configures Django for every service: their modules read settings when they are imported."""

import os
from typing import Final

from django.conf import settings

from devstack.services import EVERY
from waybill.runtime.django_settings import configure_django

NOWHERE: Final = "postgresql://nobody@127.0.0.1:1/nothing"  # nothing connects to this address

os.environ.setdefault("WAYBILL_DATABASE_URL", NOWHERE)
if not settings.configured:
    configure_django(tuple(service.package for service in EVERY.values()), os.environ["WAYBILL_DATABASE_URL"])

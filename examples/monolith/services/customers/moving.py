"""Settings of the service of customers while its rows move."""

import moving

from customers.settings import *  # noqa: F403 - the usual layers of Django settings
from customers.settings import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, *moving.INSTALLED_APPS]
WAYBILL = moving.waybill("customers")

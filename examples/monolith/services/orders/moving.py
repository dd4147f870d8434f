"""Settings of the service of orders while its rows move."""

import moving

from orders.settings import *  # noqa: F403 - the usual layers of Django settings
from orders.settings import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, *moving.INSTALLED_APPS]
WAYBILL = moving.waybill("orders")
